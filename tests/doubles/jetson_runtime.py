"""Runtime "trt" of a scripted Jetson: the real one, on a scripted TensorRT and GPU."""

from __future__ import annotations

import os
from typing import Any

from hwprune_device.runtimes.trt.runtime import TrtRuntime
from tests.doubles.scripted_cuda import (
    ScriptedGpu,
    scripted_driver_library,
    scripted_pycuda,
)
from tests.doubles.scripted_tensorrt import Script, scripted_tensorrt
from tests.doubles.staircase import staircase_ms

RELEASE = "HWPRUNE_SCRIPTED_TENSORRT"
"""Environment variable: the release of TensorRT, "10.3" where it is not set."""


def usual(**changes: Any) -> Script:
    """What a scripted Jetson does, with changes: builds that take some time and memory, times on
    the staircase that scatter a little."""
    usually = {
        "execution_ms": staircase_ms,
        "run_noise": 0.003,
        "step_s": 0.001,
        "build_bytes": 64 << 20,
    }
    return Script(**{**usually, **changes})


def scripted_runtime(script: Script | None = None, gpu: ScriptedGpu | None = None) -> TrtRuntime:
    """The board's own runtime over a scripted library; runtimes may share a GPU."""
    return TrtRuntime(**_stand_ins(script or usual(), gpu or ScriptedGpu()))


class ScriptedJetson(TrtRuntime):
    """To be registered as runtime "trt" of a board."""

    def __init__(self, gpu: ScriptedGpu | None = None) -> None:
        super().__init__(**_stand_ins(usual(), gpu or ScriptedGpu()))


def _stand_ins(script: Script, gpu: ScriptedGpu) -> dict[str, Any]:
    release = os.environ.get(RELEASE, "10.3")
    return {
        "tensorrt": scripted_tensorrt(release, script, gpu),
        "driver": scripted_pycuda(gpu),
        "library": scripted_driver_library(gpu),
    }
