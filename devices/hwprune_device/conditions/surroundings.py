"""The board around a batch: waited for, looked at before, in between and after."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from hwprune_device.conditions import gate
from hwprune_device.conditions.disturbance import CoreTimes, core_times, disturbance
from hwprune_device.conditions.gpu import GpuWatch
from hwprune_device.conditions.gpu_presence import has_gpu, on_gpu
from hwprune_device.conditions.state import state
from hwprune_device.conditions.sysfs import UNAVAILABLE
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
        """Wait until the board may start, `limit_s` seconds at most; then look at it."""
        self._waited = gate.wait(self._obstacle, limit_s, on_wait)
        self._times = core_times(self._cores)
        self._before = self._state()

    def glance(self) -> None:
        """A short look between two networks."""
        if self._gpu is not None:
            self._gpu.glance()

    def to_json(self) -> dict[str, Any]:
        """What was waited for, both states, and what others took since the first of them."""
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
