"""The state that a board is in, as it may change from minute to minute."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwprune_device.conditions.clocks import core_clocks
from hwprune_device.conditions.power_mode import power_mode
from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE
from hwprune_device.conditions.thermal import hottest, tightest, zones
from hwprune_device.conditions.throttling import throttling


def state(cores: Sequence[int], root: Path = ROOT) -> dict[str, Any]:
    """Load, clocks, temperature, throttling and power mode, now."""
    clocks = core_clocks(cores, root)
    seen = zones(root)
    hot, tight = hottest(seen), tightest(seen)
    return {
        "load_1min": round(os.getloadavg()[0], 2),
        "clock_mhz": [_told(clock.now_mhz) for clock in clocks],
        "clock_due_mhz": [_told(clock.due_mhz) for clock in clocks],
        "temperature_c": UNAVAILABLE if hot is None else hot.temperature_c,
        "hottest": UNAVAILABLE if hot is None else hot.to_json(),
        "nearest_trip": UNAVAILABLE if tight is None else tight.to_json(),
        "throttling": throttling(cores, root).to_json(),
        "power_mode": power_mode(root).text,
    }


def _told(value: int | None) -> int | str:
    return UNAVAILABLE if value is None else value
