"""The time that scripted work takes."""

from __future__ import annotations

import time
from typing import Protocol

_SPIN_MS = 0.3
_NAP_S = 0.05


class Clock(Protocol):
    """Milliseconds that only grow."""

    def now_ms(self) -> float:
        """The time."""
        ...

    def wait_until_ms(self, then: float) -> None:
        """Return when the time has come; never for infinity."""
        ...


class RealClock:
    """Waits for real: what a test reads on its own clock agrees with the scripted times."""

    def now_ms(self) -> float:
        """The machine's monotonic clock."""
        return time.perf_counter() * 1e3

    def wait_until_ms(self, then: float) -> None:
        """Sleep, and spin at the end, because a sleep comes back late."""
        while (left := then - self.now_ms()) > 0:
            if left > _SPIN_MS:
                time.sleep(min((left - _SPIN_MS) / 1e3, _NAP_S))


class VirtualClock:
    """Time passes only by waiting, so hours of a GPU take no time."""

    def __init__(self) -> None:
        self._now_ms = 0.0

    def now_ms(self) -> float:
        """What all waiting has come to."""
        return self._now_ms

    def wait_until_ms(self, then: float) -> None:
        """Be there at once.

        Raises:
            TimeoutError: it would never come.
        """
        if then == float("inf"):
            raise TimeoutError("scripted work that never ends was waited for")
        self._now_ms = max(self._now_ms, then)
