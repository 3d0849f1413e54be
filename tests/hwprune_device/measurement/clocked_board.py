"""A board whose runtime "clocked" is ONNX Runtime beside a device with a clock of its own.

That clock tells 0.01 ms for each channel of the first layer, whatever the caller's clocks tell, so
that tests know what must be read. Run as a module; takes the supervisor's own arguments.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from hwprune_device.__main__ import main
from hwprune_device.estimate import Clock
from hwprune_device.job import Target
from hwprune_device.runtimes import RuntimeFacts, register
from hwprune_device.runtimes.onnxrt.runtime import OnnxNetwork, OnnxRuntime
from hwprune_device.runtimes.option_table import OptionTable
from tests.hwprune_device.measurement.troubled_board import first_width

STEP_MS = 0.01
SILENT, SILENT_LATE = 15, 14
"""Widths of networks for which the clock tells nothing, or nothing any more."""
LATE = 7
"""Runs until the clock of a network falls silent."""


class ClockedNetwork(OnnxNetwork):
    """Runs, and tells the time that its width is known to take."""

    def __init__(self, model: bytes, target: Target, free: Mapping[str, int]) -> None:
        super().__init__(model, replace(target, options={}), free, denormals="zero")
        self._width = first_width(model)
        self._runs = 0

    def run(self) -> None:
        self._runs += 1
        super().run()

    def device_ms(self) -> float | None:
        if self._width == SILENT or (self._width == SILENT_LATE and self._runs > LATE):
            return None
        return STEP_MS * self._width


class ClockedRuntime(OnnxRuntime):
    """The latency is the device's where the option `latency` says so."""

    def workers(self, target: Target) -> int:
        return 2

    def clock(self, target: Target) -> Clock | None:
        return "device" if target.options.get("latency") == "device" else None

    def load(
        self, model: bytes, target: Target, free: Mapping[str, int], alive: Callable[[], None]
    ) -> OnnxNetwork:
        return ClockedNetwork(model, target, free)


if __name__ == "__main__":
    options = OptionTable(
        runtime="clocked",
        precisions=("fp32",),
        defaults={"latency": "host"},
        choices={"latency": ("host", "device")},
    )
    place = "tests.hwprune_device.measurement.clocked_board:ClockedRuntime"
    register(RuntimeFacts(title="clocked", place=place, options=options, packages=()))
    sys.exit(main(sys.argv[1:]))
