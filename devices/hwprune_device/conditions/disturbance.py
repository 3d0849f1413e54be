"""What others took of a batch's cores meanwhile: other processes, and a hypervisor."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreTimes:
    """Seconds since boot, summed over some cores."""

    busy_s: float
    steal_s: float
    taken_ns: int


def core_times(cores: Sequence[int], root: Path = ROOT) -> CoreTimes | None:
    """Times of the given cores from /proc/stat; None where there is none."""
    try:
        lines = (root / "proc/stat").read_text().splitlines()
    except OSError:
        return None
    wanted = {f"cpu{core}" for core in cores}
    busy = steal = 0
    for fields in (line.split() for line in lines):
        if fields and fields[0] in wanted:
            # Idle and iowait are left out; guests are part of user already.
            user, nice, system, _, _, irq, softirq, stolen = map(int, fields[1:9])
            busy += user + nice + system + irq + softirq
            steal += stolen
    return CoreTimes(
        busy_s=busy / _TICKS_PER_S, steal_s=steal / _TICKS_PER_S, taken_ns=time.monotonic_ns()
    )


def disturbance(
    before: CoreTimes | None, after: CoreTimes | None, own_cpu_s: float, cores: int
) -> dict[str, Any]:
    """Share of the cores' time that other processes and the hypervisor took between two looks."""
    if before is None or after is None or after.taken_ns <= before.taken_ns:
        return {"other_cpu_share": UNAVAILABLE, "steal_share": UNAVAILABLE, "steal_s": UNAVAILABLE}
    span_s = (after.taken_ns - before.taken_ns) / 1e9 * cores
    steal_s = after.steal_s - before.steal_s
    # Ticks of 10 ms against exact seconds: on a free core the difference may be negative.
    other_s = max(0.0, after.busy_s - before.busy_s - own_cpu_s)
    return {
        "other_cpu_share": round(other_s / span_s, 4),
        "steal_share": round(steal_s / span_s, 4),
        "steal_s": round(steal_s, 2),
    }
