"""The board around a batch: waited for, looked at before, in between and after."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwprune_device.conditions import gate
from hwprune_device.conditions.clocks import core_clocks
from hwprune_device.conditions.disturbance import CoreTimes, core_times, disturbance
from hwprune_device.conditions.gpu import GpuWatch
from hwprune_device.conditions.gpu_presence import has_gpu, on_gpu
from hwprune_device.conditions.power_mode import power_mode
from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE
from hwprune_device.conditions.thermal import hottest, tightest, zones
from hwprune_device.conditions.throttling import throttling
from hwprune_device.job import Target


class Surroundings:
    """Made in the child that measures, before the runtime touches a GPU."""

    def __init__(self, cores: Sequence[int], target: Target) -> None:
        self._cores = cores
        self._gpu: GpuWatch | None = None
        self._no_gpu = ""
        if on_gpu(target, present=has_gpu()):
            try:
                self._gpu = GpuWatch()
            except LookupError as error:
                self._no_gpu = str(error)
        self._waited = gate.Waited()
        self._times: CoreTimes | None = None
        self._before: dict[str, Any] = {}

    def wait(self, limit_s: float, on_wait: gate.OnWait) -> None:
        """Wait until the board may start, `limit_s` seconds at most; then record its state."""
        self._waited = gate.wait(self._obstacle, limit_s, on_wait)
        # Behind the wait: what others took meanwhile is no disturbance of the batch.
        self._times = core_times(self._cores)
        self._before = self._state()

    def glance(self) -> None:
        """A short look between two networks."""
        if self._gpu is not None:
            self._gpu.glance()

    def to_json(self) -> dict[str, Any]:
        """What was waited for, both states, and what others took since the first of them."""
        # First of all: what is read below takes time of the cores itself.
        after = core_times(self._cores)
        count = len(self._cores)
        return {
            "gate": self._waited.to_json(),
            "before": self._before,
            "after": self._state(),
            **({} if self._gpu is None else {"gpu_between": self._gpu.seen()}),
            **disturbance(self._times, after, time.process_time(), count),
        }

    def _state(self) -> dict[str, Any]:
        found = state(self._cores)
        if self._gpu is not None:
            found["gpu"] = self._gpu.state().to_json()
        elif self._no_gpu:
            found["gpu"] = f"{UNAVAILABLE}: {self._no_gpu}"
        return found

    def _obstacle(self) -> str:
        words = [gate.obstacle(self._cores)]
        if self._gpu is not None:
            words.append(self._gpu.state().obstacle)
        return "; ".join(filter(None, words))


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
