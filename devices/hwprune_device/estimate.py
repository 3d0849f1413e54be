"""From timed runs to numbers: which clock counts, the ratio to the base network, and its
intervals.

Pure functions on samples; `stopwatch.py` takes them. Figures are from the measuring study that
devices/README.md sums up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Clock = Literal["thread_cpu", "wall"]

CONTENDED = 0.02
"""Wall and thread-CPU time agree within 0.3 % on an undisturbed core; above 2 % it was not."""
CLASS_CV = {"one thread": 0.015, "one thread, virtual machine": 0.028, "several threads": 0.035}
"""Between-batch coefficient of variation of the ratio to the base, by class of device. One thread:
12 networks read 8 times gave 1.2 to 1.5 % on a core of its own, and 2.8 % where strangers shared
caches and memory. Several threads have the wall clock alone: up to 3.4 % on cores of their own."""
_Z95 = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One network's turn in a round: its timed runs, and which base visit came before it."""

    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    before: int
    """Number of the base visit before this one; the next base visit came after it."""

    def runs(self, clock: Clock) -> tuple[float, ...]:
        """The timed runs on one clock."""
        return self.cpu_ms if clock == "thread_cpu" else self.wall_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A network's time over the base network's, and how sure this batch is of it."""

    value: float
    low: float
    high: float
    """95 % order-statistic interval over the rounds of this batch alone."""
    base_ms: tuple[float, ...]
    """The base network's time around each visit."""

    @property
    def half_width_pct(self) -> float:
        """Half the interval, in per cent of the value."""
        return 50.0 * (self.high - self.low) / self.value

    @property
    def standard_error(self) -> float:
        """Relative standard error that the interval stands for."""
        return (self.high - self.low) / (2 * _Z95 * self.value)


def choose_clock(visits: Sequence[Visit], threads: int) -> tuple[Clock, float]:
    """The clock a batch is reported on, and wall over thread-CPU time minus one.

    Sums, not medians: a run of a short network is often undisturbed while the batch as a whole was
    not. With more than one thread only the wall clock sees all the work.
    """
    wall = sum(sum(v.wall_ms) for v in visits)
    cpu = sum(sum(v.cpu_ms) for v in visits)
    excess = wall / cpu - 1.0 if cpu > 0 else math.inf
    if threads > 1:
        return "wall", excess
    return ("thread_cpu" if abs(excess) > CONTENDED else "wall"), excess


def ratio_to_base(visits: Sequence[Visit], base: Sequence[Visit], clock: Clock) -> Ratio:
    """Median over rounds of (median of a visit's runs / mean of the two base visits around it)."""
    centres = [median(v.runs(clock)) for v in base]
    around = tuple((centres[v.before] + centres[v.before + 1]) / 2 for v in visits)
    ratios = [median(v.runs(clock)) / b for v, b in zip(visits, around, strict=True)]
    low, high = median_interval(ratios)
    return Ratio(value=median(ratios), low=low, high=high, base_ms=around)


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the median by order statistics; the extremes of fewer than six samples."""
    ordered = sorted(samples)
    rank = _interval_rank(len(ordered))
    return ordered[rank], ordered[-1 - rank]


def _interval_rank(count: int) -> int:
    """The largest r for which [r-th smallest, r-th largest] covers the median 19 times in 20."""
    tail, rank = 0.0, 0
    for r in range(count // 2):
        tail += math.comb(count, r) / 2**count
        if 2 * tail > 0.05:
            break
        rank = r
    return rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The 95 % interval of a latency, and where its width comes from."""

    low_ms: float
    high_ms: float
    source: str


def device_class(threads: int, virtual: bool) -> str:
    """The entry of CLASS_CV for a board."""
    if threads > 1:
        return "several threads"
    return "one thread, virtual machine" if virtual else "one thread"


def spread(latency_ms: float, ratio: Ratio, class_name: str, board_cv: float | None) -> Spread:
    """Between-batch spread and this batch's own error, in quadrature.

    The batch's own interval alone is worth little: at "±1 %" the true spread between processes was
    1.4 to 9 %.
    """
    between = CLASS_CV[class_name] if board_cv is None else board_cv
    whose = f"class default: {class_name}" if board_cv is None else "this board's own"
    total = math.hypot(between, ratio.standard_error)
    return Spread(
        low_ms=latency_ms * max(0.0, 1 - _Z95 * total),
        high_ms=latency_ms * (1 + _Z95 * total),
        source=f"between-batch spread of {between:.1%} ({whose}) and this batch's own standard "
        f"error of {ratio.standard_error:.2%}",
    )
