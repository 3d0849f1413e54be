"""Calibration: the unpruned network timed beside itself, until its calm time is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

from hwprune.farm.answers import Outcome
from hwprune_device.reading import Failure, Reading

# All three by judgement; tests/benchmarks/bench_interval.py shows what intervals hold with them.
BATCHES = 3
AGREE = 0.05
"""The calmest batches lie within this of each other, else more are taken."""
_CONTROL_PCT = 3.0


def calm_readings(take: Callable[[], Outcome], batches: int = BATCHES) -> list[Reading] | Failure:
    """The calmest `batches` readings of the unpruned network, each from a fresh process.

    What else happens on a machine only ever makes a network slower, so the fastest readings that
    agree are the calm ones. A board that stays restless gives what it can: three times as many.
    """
    taken: list[Reading] = []
    for _ in range(3 * batches):
        outcome = take()
        if isinstance(outcome, Failure):
            return outcome
        taken.append(outcome)
        calmest = sorted(
            (r for r in taken if not r.doubts), key=lambda reading: reading.base_nominal_ms
        )[:batches]
        if len(calmest) == batches and _agree(calmest):
            return calmest
    return sorted(taken, key=lambda r: (bool(r.doubts), r.base_nominal_ms))[:batches]


def calm_ms(readings: Sequence[Reading]) -> float:
    """The time of the unpruned network when nothing disturbs it."""
    return median(reading.base_nominal_ms for reading in readings)


def one_reading(readings: Sequence[Reading], nominal_ms: float) -> Reading:
    """One reading of the unpruned network for several: its time is the nominal, its ratio 1.

    The network beside itself is the control: a ratio off 1 shows an error of the protocol.
    """
    # A reading that was taken, so no mean of two.
    middle = sorted(readings, key=lambda r: r.base_nominal_ms)[(len(readings) - 1) // 2]
    off_pct = 100 * abs(median(r.ratio for r in readings) - 1)
    doubts = set(middle.doubts)
    if off_pct > _CONTROL_PCT:
        doubts.add(f"the network timed beside itself was off by {off_pct:.1f} %")
    if not _agree(readings):
        doubts.add("the unpruned network's time did not settle while it was calibrated")
    return replace(
        middle.at_nominal(nominal_ms),
        latency_ms=nominal_ms,
        low_ms=nominal_ms * middle.low_ms / middle.latency_ms,
        high_ms=nominal_ms * middle.high_ms / middle.latency_ms,
        interval_source=f"{middle.interval_source}; nominal from {len(readings)} batches",
        ratio=1.0,
        doubts=tuple(sorted(doubts)),
    )


def _agree(readings: Sequence[Reading]) -> bool:
    times = [reading.base_nominal_ms for reading in readings]
    return max(times) / min(times) - 1 <= AGREE
