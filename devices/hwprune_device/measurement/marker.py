"""A page that child and supervisor share: what the child works on, readable after it died."""

from __future__ import annotations

import mmap
import struct
import time
from dataclasses import dataclass

BASE = -1
"""Index of the base network."""
NOBODY = -2
"""No network: the child is between two."""
STEPS = ("start", "cut", "build", "run", "time", "energy", "report")
# Index, step and count; the acknowledgements stand behind them, in a field of their own,
# because each side writes its own alone: then no lock is needed.
_LAYOUT = struct.Struct("=qqq")
_ACKNOWLEDGED = struct.Struct("=q")
# Polled, because a page cannot wake who waits; a wait comes once a network.
_LOOK_S = 50e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a child was doing."""

    index: int
    """Position in the batch, or BASE, or NOBODY."""
    step: str
    count: int
    """How many notes were made; a child that hangs makes no more."""


class Marker:
    """Notes by the child, read by the supervisor, and an answer to them.

    Shared memory rather than a pipe: a note costs well under a microsecond and no system call, so
    it can be made before every single visit without disturbing the time that is read there.
    """

    def __init__(self) -> None:
        # Anonymous and shared: a child that is forked afterwards writes to the same page.
        self._shared = mmap.mmap(-1, mmap.PAGESIZE)
        self._count = 0
        _LAYOUT.pack_into(self._shared, 0, NOBODY, 0, 0)

    def note(self, index: int, step: str) -> None:
        """Say what is worked on from now."""
        self._count += 1
        _LAYOUT.pack_into(self._shared, 0, index, STEPS.index(step), self._count)

    def read(self) -> Mark:
        """The last note."""
        index, step, count = _LAYOUT.unpack_from(self._shared, 0)
        return Mark(index=index, step=STEPS[step], count=count)

    def acknowledge(self) -> None:
        """By the supervisor: one more of the child's frames was passed on."""
        _ACKNOWLEDGED.pack_into(self._shared, _LAYOUT.size, self._acknowledged() + 1)

    def wait_acknowledged(self, frames: int, patience_s: float) -> None:
        """By the child: wait until so many frames were passed on, or for `patience_s`."""
        patience = time.monotonic() + patience_s
        while self._acknowledged() < frames and time.monotonic() < patience:
            time.sleep(_LOOK_S)

    def _acknowledged(self) -> int:
        return int(_ACKNOWLEDGED.unpack_from(self._shared, _LAYOUT.size)[0])

    def close(self) -> None:
        """Give the page back."""
        self._shared.close()
