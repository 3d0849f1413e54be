"""How long the rest of a stage takes, told from the steps of this session alone."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Counts steps; those that were done before a run was resumed say nothing of time."""

    def __init__(self, total: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = 0
        self._clock = clock
        self._started = clock()
        self._skipped = 0

    def advance(self, count: int) -> None:
        """Steps are done."""
        self.done += count

    def skip(self, count: int) -> None:
        """Steps were done before, or came from memory."""
        self.done += count
        self._skipped += count

    @property
    def took_s(self) -> float:
        """Seconds since the stage began."""
        return self._clock() - self._started

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest will take; None where nothing tells."""
        own = self.done - self._skipped
        if not self.total or own <= 0 or self.done >= self.total:
            return None
        return self.took_s / own * (self.total - self.done)
