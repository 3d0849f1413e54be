"""From timed runs to numbers: which clock counts, the ratio to the base network, and its
intervals.

Pure functions on samples, which `measurement/stopwatch.py` takes. Figures are from the measuring
study that devices/measuring.md sums up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Clock = Literal["thread_cpu", "wall", "device"]
"""`device`: what the device that computes tells itself, such as events on a GPU's stream."""

CONTENDED = 0.02
"""Wall and thread-CPU time agree within 0.3 % on an undisturbed core; above 2 % it was not."""
CLASS_CV = {"one thread": 0.014, "several threads": 0.035, "a GPU": 0.01}
"""Between-batch coefficient of variation of the ratio to the base, by class of device, as long as
the base runs at its calm time. One thread: 12 networks read 8 times gave 1.2 to 1.5 %, nine
networks read 40 times 0.3 to 2.8 %, seven of them below 1 %, and three read 40 times again 0.4 to
1.8 %. Several threads have the wall clock alone: up to 3.4 % on cores of their own. A GPU:
ResNet-50 at four widths in three fresh batches each gave 0.01 to 0.4 % on an H200 where the GPU
and not its host bounds the time; the rest is room for boards whose clocks move more."""
CALM = 0.03
"""A base within this of its calm time says that nothing unusual happens beside it."""
OFF_CALM = 0.1
"""A base this far off its calm time runs beside something that networks do not all bear alike.
`python -m tests.benchmarks.bench_calm`: with 5 % the error falls by 7 to 19 %, and a good batch
takes 1.2 to 1.4 times as long."""
UNLIKE = 0.8
"""How far networks slow down apart. When strangers fill caches and memory the base may run 20 %
slower, and a network of 40 % of its time 40 % slower: a ratio is then off by about this share of
the base's excess, times how unlike the base the network is. Seen in 8 of 40 processes of a CIFAR
ResNet-56; see devices/measuring.md."""
# Of the normal distribution, two-sided.
_Z95 = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One network's turn in a round: its timed runs, and which base visit came before it."""

    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    before: int
    """Number of the base visit before this one; the next base visit came after it."""
    device_ms: tuple[float, ...] = ()
    """The same runs on the device's own clock; empty where it has none."""

    def runs(self, clock: Clock) -> tuple[float, ...]:
        """The timed runs on one clock."""
        by_clock = {"thread_cpu": self.cpu_ms, "wall": self.wall_ms, "device": self.device_ms}
        return by_clock[clock]


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
    # Their mean takes a drift that is linear between the two out of the ratio.
    around = tuple((centres[v.before] + centres[v.before + 1]) / 2 for v in visits)
    ratios = [median(v.runs(clock)) / b for v, b in zip(visits, around, strict=True)]
    low, high = median_interval(ratios)
    return Ratio(value=median(ratios), low=low, high=high, base_ms=around)


def counting_clock(clock: Clock | None, threads: int) -> Clock:
    """The clock that says whether the base is calm, before `choose_clock` has seen the batch."""
    return clock or ("wall" if threads > 1 else "thread_cpu")


def is_calm(base: Visit, calm_ms: float, clock: Clock) -> bool:
    """Whether a base visit took about its calm time, or less.

    Nothing makes a network faster than it is: less means that its calm time is not known well.
    """
    return median(base.runs(clock)) <= calm_ms * (1 + OFF_CALM)


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the median by order statistics; the extremes of fewer than six samples."""
    ordered = sorted(samples)
    rank = _interval_rank(len(ordered))
    return ordered[rank], ordered[-1 - rank]


def _interval_rank(count: int) -> int:
    """The largest r for which [r-th smallest, r-th largest] covers the median 19 times in 20."""
    tail, rank = 0.0, 0
    for r in range(count // 2):
        # P(at most r of the samples lie below the median): binomial with 1/2.
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


def device_class(threads: int, *, gpu: bool = False) -> str:
    """The entry of CLASS_CV for a board; `gpu`: whether networks run on one."""
    if gpu:
        return "a GPU"
    return "several threads" if threads > 1 else "one thread"


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """How far the ratio to the base moves from batch to batch on a board."""

    cv: float
    """Coefficient of variation while the base runs at its calm time."""
    source: str
    """Where it is from, in words."""


def spread(latency_ms: float, ratio: Ratio, between: Between, base_off: float) -> Spread:
    """The spread between batches, and what this very batch adds to it, in quadrature.

    `base_off`: how far the base was off its calm time, as a fraction. The batch's own interval
    alone is worth little: at "±1 %" the true spread between processes was 1.4 to 9 %. An own error
    up to half the spread between batches is part of that spread already.
    """
    # A network like the base in size slows down as it does, and its ratio stays.
    unlike = UNLIKE * abs(1 - ratio.value) * max(0.0, abs(base_off) - CALM)
    own = max(0.0, ratio.standard_error**2 - (between.cv / 2) ** 2)
    total = math.sqrt(between.cv**2 + own + unlike**2)
    added = [f"this batch's own error of {ratio.standard_error:.1%}"] if own > 0 else []
    if unlike > 0:
        added.append(f"{unlike:.1%} because the base ran {base_off:+.0%} off its calm time")
    return Spread(
        low_ms=latency_ms * max(0.0, 1 - _Z95 * total),
        high_ms=latency_ms * (1 + _Z95 * total),
        source=", ".join(
            [f"spread between batches of {between.cv:.1%} ({between.source})", *added]
        ),
    )
