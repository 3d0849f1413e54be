"""The inbox of a supervisor: what the head sends, and whether the head is still there.

A link that is cut for good closes nothing on this side. So the head pings, and a supervisor that
receives nothing for a while takes it that the head is gone.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Iterator

from hwprune_device.frame import CHUNK, Frame, FrameDecoder

SILENCE_S = 120.0
"""A head that lives pings several times in this time."""


class HeadGoneError(Exception):
    """The head closed the stream, or was silent for too long."""


class Inbox:
    """Frames from the head, in order, without its pings."""

    def __init__(self, fd: int, *, silence_s: float = SILENCE_S) -> None:
        self.fd = fd
        self._silence_s = silence_s
        self._decoder = FrameDecoder()
        self._waiting: deque[Frame] = deque()
        self._heard = time.monotonic()

    def frames(self) -> Iterator[Frame]:
        """Requests, one after another, until the head closes its end.

        Raises:
            HeadGoneError: the head fell silent.
            FrameError: the head sent something that is no frame, or went inside one.
        """
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._readable(self._silence_s) and not self._read():
                self._decoder.finish()
                return
            self._check_silence()

    def look(self) -> None:
        """Take in what has come, without waiting; for a supervisor that is at work.

        Raises:
            HeadGoneError: the head is gone.
            FrameError: the head sent something that is no frame.
        """
        if self._readable(0.0) and not self._read():
            raise HeadGoneError("the head closed the stream")
        self._check_silence()

    def _readable(self, timeout_s: float) -> bool:
        return bool(select.select([self.fd], [], [], timeout_s)[0])

    def _read(self) -> bool:
        """One piece of the stream; False at its end."""
        data = os.read(self.fd, CHUNK)
        self._heard = time.monotonic()
        self._waiting.extend(f for f in self._decoder.feed(data) if f.kind != "ping")
        return bool(data)

    def _check_silence(self) -> None:
        if time.monotonic() - self._heard > self._silence_s:
            raise HeadGoneError(f"the head was silent for {self._silence_s:g} s")
