"""Canaries: networks whose reading is known, read again in every batch to see that it still holds.

They also tell how far readings of this board lie apart from batch to batch, which is what an
interval has to say (reference: a within-run interval of ±1 % held in 0 to 22 % of processes).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from hwprune.candidate import Candidate
from hwprune.farm.reading_key import ReadingKey
from hwprune_device.estimate import CLASS_CV, device_class
from hwprune_device.reading import Reading

# Schedule and limits are judgement, not measured.
COUNT = 2
_ALARM_PCT = 3.0
"""Less than this is never an alarm, however quiet the board is said to be."""
_SIGMAS = 3.0
_DUE_S = 60.0
"""A board that only gets small batches reads a canary this often."""
_PRIOR = 8
"""How many degrees of freedom the class default is worth against a board's own history."""
_LEAST_CV = 0.004
_ALARMS = 2
"""One bad batch is taken again; two in a row are a board that has changed."""


@dataclass(slots=True, kw_only=True)
class Canary:
    """A network that was read before, and what is known of it."""

    key: ReadingKey
    candidate: Candidate
    ratios: list[float] = field(default_factory=list)

    @property
    def known(self) -> float:
        """Its ratio to the unpruned network."""
        return median(self.ratios)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryReading:
    """What a canary's new reading says."""

    off_pct: float
    alarm: bool
    message: str = ""


@dataclass(slots=True, kw_only=True)
class CanaryWatch:
    """One board's canaries."""

    off_pct: float | None = None
    """How far the last canary was off."""
    read_at: float | None = None
    """When, in seconds since the epoch."""
    alarms: int = 0
    """Canaries in a row that were off."""
    unguarded: list[tuple[str, ReadingKey, Candidate]] = field(default_factory=list)
    """Good readings of batches without a canary since the last that read right: id, key,
    candidate."""

    @property
    def drifts(self) -> bool:
        """Whether the board cannot be trusted for now."""
        return self.alarms >= _ALARMS

    def note(self, read: CanaryReading) -> None:
        """Take in what a canary read."""
        self.off_pct, self.read_at = read.off_pct, time.time()
        if read.alarm:
            self.alarms += 1
        else:
            self.alarms = 0
            self.unguarded.clear()


class Canaries:
    """The canaries of one kind of board and one network; safe to use from several threads."""

    def __init__(self) -> None:
        self._canaries: list[Canary] = []
        self._lock = threading.Lock()
        self._turn = 0

    @property
    def all(self) -> list[Canary]:
        """Those that are known."""
        with self._lock:
            return list(self._canaries)

    def pick(self, count: int, *, last_at: float | None, without: set[str]) -> list[Canary]:
        """Canaries for a batch of `count` candidates on a board that read its last at `last_at`.

        One in a usual batch, two in a large one; a small batch has one when it is due.
        """
        due = last_at is None or time.time() - last_at > _DUE_S
        # So canaries are a fifth of a usual batch at most, and a seventh of a large one.
        wanted = 2 if count >= 12 else 1 if count >= 4 or due else 0
        with self._lock:
            able = [c for c in self._canaries if c.key.architecture not in without]
            self._turn += 1
            # In turns, so that no canary alone decides about a board.
            start = self._turn % len(able) if able else 0
            return [*able[start:], *able[:start]][:wanted]

    def learn(self, key: ReadingKey, candidate: Candidate, earlier: Sequence[Reading]) -> None:
        """Take a network that was just read well as a canary, while there are too few."""
        with self._lock:
            names = {c.key.architecture for c in self._canaries}
            if len(self._canaries) < COUNT and key.architecture not in names:
                ratios = [reading.ratio for reading in earlier if not reading.doubts]
                self._canaries.append(Canary(key=key, candidate=candidate, ratios=ratios))

    def forget(self) -> None:
        """Know none any more."""
        with self._lock:
            self._canaries.clear()

    def compare(self, canary: Canary, reading: Reading) -> CanaryReading:
        """Compare a canary's new reading with what is known, and learn from it if it fits."""
        # An interval is ± 1.96 standard deviations; here as a share of the latency.
        sigma = (reading.high_ms - reading.low_ms) / 2 / 1.96 / reading.latency_ms
        with self._lock:
            off_pct = 100 * (reading.ratio / canary.known - 1)
            # What is known is itself unsure, the less the more readings it is of.
            sure = math.sqrt(1 + 1 / len(canary.ratios))
            alarm = abs(off_pct) > max(_ALARM_PCT, 100 * _SIGMAS * sigma * sure)
            if not alarm and not reading.doubts:
                canary.ratios.append(reading.ratio)
        message = (
            f"a network that is known read {off_pct:+.1f} % off in the same batch" if alarm else ""
        )
        return CanaryReading(off_pct=off_pct, alarm=alarm, message=message)


def between_batches(
    squares: float, freedom: int, threads: int, *, gpu: bool = False
) -> tuple[float, str] | None:
    """The spread between batches that a history of readings shows, and where it is from.

    Args:
        squares: sum of squared relative deviations of readings from their network's mean.
        freedom: its degrees of freedom.
        threads: of the target, for the class default that counts like a few readings.
        gpu: whether the target runs on one, likewise.

    Returns None while the history is too short to say anything.
    """
    if freedom < _PRIOR // 2:
        return None
    prior = CLASS_CV[device_class(threads, gpu=gpu)]
    cv = math.sqrt((_PRIOR * prior**2 + squares) / (_PRIOR + freedom))
    return max(_LEAST_CV, cv), f"{freedom} readings taken again on this kind of board"
