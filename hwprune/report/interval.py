"""The 95 % interval of a constraint's value, from several fresh readings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from hwprune.budget import Constraint, Footprint
from hwprune_device.reading import Reading

# Two-sided 95 % points of Student's t for 1..10 degrees of freedom; beyond that the next lower of
# the listed ones is used, which errs on the wide side.
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_T95_FAR = ((60, 2.0), (40, 2.021), (30, 2.042), (20, 2.086), (15, 2.131), (10, 2.228))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value and the 95 % interval around it, in the constraint's own unit."""

    value: float
    low: float
    high: float


def student_t95(freedom: int) -> float:
    """The two-sided 95 % point of Student's t, at most a little too wide."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    return next(point for least, point in _T95_FAR if freedom >= least)


def decisive(constraint: Constraint, readings: Sequence[Reading]) -> Sequence[Reading]:
    """The readings that bear on a constraint: a board may report no memory or energy."""
    if constraint.quantity == "memory_mb":
        return [reading for reading in readings if reading.memory.peak_mb is not None]
    if constraint.quantity == "energy_mj":
        return [reading for reading in readings if reading.energy_mj is not None]
    return readings


def of_readings(constraint: Constraint, readings: Sequence[Reading]) -> Interval | None:
    """The value of a timed or weighed constraint over fresh readings; None without any.

    Memory is exact and repeatable: the largest reading stands, without an interval. A latency is
    the mean of the readings. Its half width is the wider of two: what each reading claims for
    itself, shrunk by the root of their number, and what they show between each other by Student's
    t. So a board noisier than its profile says cannot make an interval too narrow. An energy is
    power times time, so it claims no less than the time does. A reading without an energy or
    a memory says nothing.
    """
    readings = decisive(constraint, readings)
    if not readings:
        return None
    values = [
        constraint.value(Footprint(reading=reading, params=0, macs=0)) for reading in readings
    ]
    if constraint.quantity not in ("latency_ms", "energy_mj"):
        return Interval(value=max(values), low=max(values), high=max(values))
    value = fmean(values)
    # As shares of each reading's own time, which may differ from one to the next.
    claimed = median((r.high_ms - r.low_ms) / 2 / r.latency_ms for r in readings) * value
    shown = 0.0
    if len(values) > 1:
        shown = student_t95(len(values) - 1) * stdev(values)
    half = max(claimed, shown) / math.sqrt(len(values))
    return Interval(value=value, low=max(0.0, value - half), high=value + half)
