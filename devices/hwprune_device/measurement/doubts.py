"""Doubts: what in a batch counts against its readings, each a sentence for the user.

What thread-CPU time and the ratio to the base already take care of is no doubt: a neighbour on the
same core, or a whole machine that slows down for a while.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from hwprune_device.estimate import OFF_CALM, Clock, Ratio
from hwprune_device.job import Protocol
from hwprune_device.measurement.gpu_doubts import gpu_doubts, table_of

OTHERS_SHARE = 0.05
STEAL_SHARE = 0.01
STEAL_S = 0.05
"""Steal is counted in ticks of 10 ms: fewer than five of them prove nothing."""
DRIFT = {"wall": 0.05, "thread_cpu": 0.15, "device": 0.05}
"""Drift of the base inside a batch. Each visit is divided by the base readings next to it, which
on the thread-CPU clock leaves about a fifth of a common drift: 15 % of it is 3 % of error. How
much it leaves on a device's clock was not measured yet: the stricter bound holds."""
WIDE = 4.0
"""Times the wanted precision. A reading's own interval already says how wide it is; beyond this
it is of no use."""
_LEAST_FOR_DRIFT = 6
"""Base visits in a third of a batch; the median of fewer moves by itself."""
NEAR_TRIP_C = 3.0
"""Nearer to a trip point than this, a board may have slowed down between two looks at it."""
CLOCK_SHARE = 0.95
"""A busy core below this share of the clock that it should have was held down."""


def batch_doubts(
    *,
    clock: Clock,
    threads: int,
    wall_excess: float,
    disturbance: Mapping[str, Any],
    base_ms: Sequence[float],
    base_off: float,
) -> list[str]:
    """Doubts that all readings of a batch share.

    `base_ms` are the base's visits in order, `base_off` how far they are off their calm time.

    `disturbance` is what others took meanwhile; with "before" and "after", two states of the
    board, what these say is checked too.
    """
    return [
        *_contention(clock, threads, wall_excess, disturbance),
        *_steal(disturbance),
        *_drift(clock, base_ms),
        *_off_calm(base_off),
        *state_doubts(disturbance.get("before", {}), disturbance.get("after", {})),
        *_of_gpu(disturbance),
    ]


def state_doubts(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What two states of a board, around a batch, say against its readings."""
    return [
        *_throttled(table_of(before, "throttling"), table_of(after, "throttling")),
        *_hot(before, after),
        *_slow_clock(after),
        *_other_mode(before, after),
    ]


def board_doubts(board: Mapping[str, Any]) -> list[str]:
    """Doubts about whatever is timed on a board, from its fingerprint."""
    if board.get("emulated") is not True:
        return []
    return ["this board is emulated: its times say nothing about hardware"]


def ratio_doubts(ratio: Ratio, rounds: int, protocol: Protocol) -> list[str]:
    """Doubts about one network's ratio."""
    if ratio.half_width_pct <= WIDE * protocol.precision_pct:
        return []
    return [
        f"after {rounds} rounds the ratio to the base is known to ±{ratio.half_width_pct:.1f} % "
        f"only (wanted: ±{protocol.precision_pct:g} %)"
    ]


def _of_gpu(disturbance: Mapping[str, Any]) -> list[str]:
    """What the GPU's states and the looks in between say; nothing where none computes."""
    before = table_of(table_of(disturbance, "before"), "gpu")
    after = table_of(table_of(disturbance, "after"), "gpu")
    return gpu_doubts(before, after, table_of(disturbance, "gpu_between"))


def _contention(
    clock: Clock, threads: int, wall_excess: float, disturbance: Mapping[str, Any]
) -> list[str]:
    # On the thread-CPU clock a neighbour costs nothing that the ratio does not cancel.
    others = disturbance["other_cpu_share"]
    if clock == "wall" and threads > 1 and isinstance(others, float) and others > OTHERS_SHARE:
        return [
            f"other processes took {others:.0%} of the cores while networks were timed by the "
            "wall clock"
        ]
    if clock == "wall" and threads == 1 and abs(wall_excess) > OTHERS_SHARE:
        return [f"wall and thread-CPU time differ by {wall_excess:.0%}"]
    return []


def _steal(disturbance: Mapping[str, Any]) -> list[str]:
    share, seconds = disturbance["steal_share"], disturbance["steal_s"]
    known = isinstance(share, float) and isinstance(seconds, float)
    if known and share > STEAL_SHARE and seconds >= STEAL_S:
        return [f"the hypervisor took {share:.1%} of the cores' time for others"]
    return []


def _drift(clock: Clock, base_ms: Sequence[float]) -> list[str]:
    # The middle third is left out: a drift shows most between the ends.
    third = len(base_ms) // 3
    if third < _LEAST_FOR_DRIFT:
        return []
    first, last = median(base_ms[:third]), median(base_ms[-third:])
    drift = last / first - 1
    if abs(drift) <= DRIFT[clock]:
        return []
    return [f"the base network drifted by {drift:+.0%} inside the batch"]


def _off_calm(base_off: float) -> list[str]:
    if abs(base_off) <= OFF_CALM:
        return []
    return [f"the base network ran {base_off:+.0%} off its calm time"]


def _throttled(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Throttling that held at either end of the batch, or was counted within it."""
    found = []
    now = dict.fromkeys([*before.get("now", ()), *after.get("now", ())])
    if now:
        found.append(f"the board told of this while it was timed: {'; '.join(now)}")
    # Flags since boot never go out: only one that was not set before is of this batch.
    known = {*before.get("since_boot", ()), *now}
    fresh = [words for words in after.get("since_boot", ()) if words not in known]
    # Without a look at the start nothing can be said of when it was.
    if fresh and before:
        found.append(f"this happened during the batch: {'; '.join(fresh)}")
    # A counter that appeared only now has no start to subtract: it counts as unchanged.
    counted = before.get("counts", {})
    for words, count in after.get("counts", {}).items():
        added = count - counted.get(words, count)
        if added > 0:
            times = "once" if added == 1 else f"{added} times"
            found.append(f"the board counted {words} {times} during the batch")
    return found


def _hot(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """A zone near its trip point at either end of the batch; the nearer one is named."""
    zones = [table_of(before, "nearest_trip"), table_of(after, "nearest_trip")]
    # A zone without a trip point says "unavailable" in place of degrees.
    near = [zone for zone in zones if isinstance(zone.get("below_trip_c"), float)]
    zone = min(near, key=lambda z: z["below_trip_c"], default=None)
    if zone is None or zone["below_trip_c"] > NEAR_TRIP_C:
        return []
    return [
        f"{zone['zone']} was at {zone['temperature_c']:.0f} °C, and its {zone['trip_kind']} trip "
        f"point is at {zone['trip_c']:.0f} °C: the board may have slowed down"
    ]


def _slow_clock(after: Mapping[str, Any]) -> list[str]:
    """Cores that were just busy and still run below the clock that they should have.

    Only after the batch: before it they were idle, and an idle x86 core shows any clock.
    """
    pairs = zip(after.get("clock_mhz", ()), after.get("clock_due_mhz", ()), strict=False)
    for now, due in pairs:
        if isinstance(now, int) and isinstance(due, int) and now < CLOCK_SHARE * due:
            return [f"a core ran at {now} MHz and should have run at {due} MHz ({now / due:.0%})"]
    return []


def _other_mode(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    first, last = before.get("power_mode"), after.get("power_mode")
    if first is None or last is None or first == last:
        return []
    return [f"the power mode changed during the batch: from {first} to {last}"]
