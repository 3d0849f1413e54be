"""A connection: frames to and from one supervisor, however it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hwprune_device.frame import Frame


class ConnectionLostError(Exception):
    """The supervisor is gone, silent for too long, or does not speak in frames."""


class Connection(Protocol):
    """Frames to and from one supervisor."""

    def open(self) -> None:
        """Start the supervisor.

        Raises:
            BoardError: it cannot be started.
        """

    def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        """Send a frame; raises ConnectionLostError when nobody is there."""

    def receive(self, timeout_s: float) -> Frame:
        """The next frame; raises ConnectionLostError when none comes in time."""

    def close(self) -> None:
        """End the supervisor and everything it started."""

    def stderr_tail(self) -> str:
        """What the supervisor wrote to stderr last."""
