"""The watch over one board: what its canaries said last, and what nobody watched over since."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from hwprune.candidate import Candidate
from hwprune.farm.canaries import Song
from hwprune.farm.reading_key import ReadingKey

_ALARMS = 2
"""One bad batch is taken again; two in a row are a board that has changed."""


@dataclass(slots=True, kw_only=True)
class CanaryWatch:
    """One board's canaries."""

    off_pct: float | None = None
    """How far the last canary was off."""
    heard_at: float | None = None
    """When, in seconds since the epoch."""
    alarms: int = 0
    """Canaries in a row that were off."""
    unguarded: list[tuple[str, ReadingKey, Candidate]] = field(default_factory=list)
    """Good readings of batches without a canary since the last that sang: id, key, candidate."""

    @property
    def drifts(self) -> bool:
        """Whether the board cannot be trusted for now."""
        return self.alarms >= _ALARMS

    def heard(self, song: Song) -> None:
        """Take in what a canary said."""
        self.off_pct, self.heard_at = song.off_pct, time.time()
        if song.alarm:
            self.alarms += 1
        else:
            self.alarms = 0
            self.unguarded.clear()
