"""A board whose runtime gets into trouble for certain widths of the first layer.

It is ONNX Runtime for every other network. Run as a module; takes the supervisor's own arguments.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import onnx

from hwprune_device.__main__ import main
from hwprune_device.job import Target
from hwprune_device.measurement import energy
from hwprune_device.runtimes import BrokenProcessError, facts_of, register
from hwprune_device.runtimes.onnxrt.runtime import OnnxNetwork, OnnxRuntime
from tests.hwprune_device.measurement.energetic_board import SYS

CRASHES_IN_BUILD, CRASHES_IN_RUN, CRASHES_LATE, KILLED, PRINTS, HANGS_LATE = 15, 14, 13, 12, 11, 10
BUILDS_LONG, EATS, STICKS = 9, 7, 6
LATE = 7
"""Runs until a network that fails late does."""
BUILD_S = 2.0
"""How long a network that builds long takes."""
PATIENCE = "HWPRUNE_TEST_PATIENCE"
"""Environment variable: the runtime's patience in seconds."""
ADDRESSES = "HWPRUNE_TEST_ADDRESSES"
"""Environment variable: "free" for a runtime whose addresses must not be limited."""


class TroubledNetwork(OnnxNetwork):
    """Runs, and then does what its width says."""

    def __init__(
        self, model: bytes, target: Target, free: Mapping[str, int], *, denormals: str
    ) -> None:
        self._width = first_width(model)
        self._runs = 0
        if self._width == CRASHES_IN_BUILD:
            ctypes.string_at(0)
        if self._width == BUILDS_LONG:
            time.sleep(BUILD_S)
        super().__init__(model, target, free, denormals=denormals)

    def run(self) -> None:
        self._runs += 1
        late = self._runs > LATE
        if self._width == CRASHES_IN_RUN or (self._width == CRASHES_LATE and late):
            ctypes.string_at(0)
        if self._width == EATS:
            self._held = [bytearray(b"x") * 20_000_000 for _ in range(200)]
        if self._width == STICKS and late:
            raise BrokenProcessError("this error sticks")
        if self._width == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._width == PRINTS:
            print("a runtime that talks on stdout")
            os.write(1, b"and natively too\n")
        if self._width == HANGS_LATE and late:
            time.sleep(600)
        super().run()


class TroubledRuntime(OnnxRuntime):
    """Registered over the real one."""

    def load(
        self, model: bytes, target: Target, free: Mapping[str, int], alive: Callable[[], None]
    ) -> OnnxNetwork:
        return TroubledNetwork(model, target, free, denormals="zero")

    def limits_address_space(self, target: Target) -> bool:
        return os.environ.get(ADDRESSES) != "free"


def first_width(model: bytes) -> int:
    """Output channels of the first convolution."""
    weights = onnx.load_model_from_string(model).graph.initializer
    return next(w.dims[0] for w in weights if w.name == "w0")


if __name__ == "__main__":
    energy.ROOT = Path(os.environ.get(SYS, "/"))
    patience_s = float(os.environ.get(PATIENCE, "0"))
    troubled = "tests.hwprune_device.measurement.troubled_board:TroubledRuntime"
    register(replace(facts_of("onnxrt"), place=troubled, patience_s=lambda options: patience_s))
    sys.exit(main(sys.argv[1:]))
