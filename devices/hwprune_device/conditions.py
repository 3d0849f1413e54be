"""The state of a board around a measurement: what it is, what ran beside, what may have been
throttled.

Whatever a board does not tell is recorded as "unavailable", which is a value; blank is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hwprune_device import PROTOCOL
from hwprune_device.runtimes.options import normal_options

UNAVAILABLE = "unavailable"
_CPU = Path("/sys/devices/system/cpu")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreTimes:
    """Seconds since boot, summed over some cores."""

    busy_s: float
    steal_s: float
    taken_ns: int


def core_times(cores: Sequence[int]) -> CoreTimes | None:
    """Times of the given cores from /proc/stat; None where there is none."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return None
    wanted = {f"cpu{core}" for core in cores}
    busy = steal = 0
    for fields in (line.split() for line in lines):
        if fields and fields[0] in wanted:
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
    other_s = max(0.0, after.busy_s - before.busy_s - own_cpu_s)
    return {
        "other_cpu_share": round(other_s / span_s, 4),
        "steal_share": round(steal_s / span_s, 4),
        "steal_s": round(steal_s, 2),
    }


def state(cores: Sequence[int]) -> dict[str, Any]:
    """What may change from minute to minute: load, clocks, temperature."""
    return {
        "load_1min": round(os.getloadavg()[0], 2),
        "clock_mhz": [_clock(core, "scaling_cur_freq") for core in cores],
        "temperature_c": _temperature(),
    }


def fingerprint(cores: Sequence[int]) -> dict[str, Any]:
    """What the board is, as far as it changes latency, and the versions that ran."""
    cpu = _cpu_info()
    flags = cpu.get("flags") or cpu.get("Features") or ""
    return {
        "machine": platform.machine(),
        "cpu": {name: cpu.get(name, UNAVAILABLE) for name in _CPU_KEYS},
        "cpu_flags": hashlib.sha256(" ".join(sorted(flags.split())).encode()).hexdigest()[:16],
        "caches": _caches(cores),
        "governor": [_read(_CPU / f"cpu{core}/cpufreq/scaling_governor") for core in cores],
        "pinned_mhz": [_pinned(core) for core in cores],
        "cores": list(cores),
        "core_count": os.cpu_count(),
        "ram_mb": _ram_mb(),
        "kernel": platform.release(),
        "os": platform.system(),
        "hypervisor": "hypervisor" in flags.split(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnx": onnx.__version__,
    }


_CPU_KEYS = (
    "vendor_id",
    "cpu family",
    "model",
    "model name",
    "stepping",
    "CPU implementer",
    "CPU part",
    "CPU revision",
)
_KEYED = ("machine", "cpu", "cpu_flags", "caches", "governor", "pinned_mhz")
_OFFERED = "providers"
"""What a runtime could do beside what the target asks for; it changes no latency."""


def selecting(runtime: Mapping[str, Any]) -> dict[str, Any]:
    """What a runtime says of itself, without what it could do besides."""
    return {name: value for name, value in runtime.items() if name != _OFFERED}


def conditions_key(
    board: Mapping[str, Any],
    runtime: Mapping[str, Any],
    target: Mapping[str, Any],
    *,
    energy: bool = False,
) -> str:
    """The part of the conditions that selects a latency, as a hash.

    `board` is a `fingerprint`, `runtime` what the runtime says of itself (version and build),
    `target` the plain data of a Target. Load, temperature, kernel and names are not in it, nor
    which of several equal cores is used, nor whether a default was written out. Readings that
    have an energy (`energy`) are apart from those that were never asked for one.
    """
    options = normal_options(
        target.get("runtime", ""), target.get("options", {}), target.get("threads", 1)
    )
    parts = {
        "protocol": PROTOCOL,
        "board": {name: board.get(name, UNAVAILABLE) for name in _KEYED},
        "used_cores": len(board.get("cores", ())),
        "runtime": selecting(runtime),
        "target": {**target, "options": options},
        **({"energy": True} if energy else {}),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _cpu_info() -> dict[str, str]:
    text = _read(Path("/proc/cpuinfo"))
    first = text.split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _caches(cores: Sequence[int]) -> list[str]:
    folders = sorted((_CPU / f"cpu{cores[0]}/cache").glob("index*")) if cores else []
    return [f"L{_read(f / 'level')} {_read(f / 'type')} {_read(f / 'size')}" for f in folders]


def _pinned(core: int) -> int | str:
    """The clock in MHz when lowest and highest allowed are the same, else "free"."""
    low, high = _clock(core, "scaling_min_freq"), _clock(core, "scaling_max_freq")
    if UNAVAILABLE in (low, high):
        return UNAVAILABLE
    return low if low == high else "free"


def _clock(core: int, name: str) -> int | str:
    text = _read(_CPU / f"cpu{core}/cpufreq/{name}")
    return round(int(text) / 1000) if text.isdigit() else UNAVAILABLE


def _temperature() -> float | str:
    zones = (_read(z / "temp") for z in Path("/sys/class/thermal").glob("thermal_zone*"))
    degrees = [int(t) / 1000 for t in zones if t.lstrip("-").isdigit()]
    return max(degrees) if degrees else UNAVAILABLE


def _ram_mb() -> int | str:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**6
    except (ValueError, OSError):
        return UNAVAILABLE


def _read(path: Path) -> str:
    try:
        return path.read_text().strip() or UNAVAILABLE
    except OSError:
        return UNAVAILABLE
