"""A board with a GPU whose driver is a built library; networks run by ONNX Runtime as "trt".

`HWPRUNE_TEST_NVML_LIBRARY` names the library. Run as a module; takes the supervisor's arguments.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwprune_device.__main__ import main
from hwprune_device.conditions import gpu_presence, nvml
from hwprune_device.job import Target
from hwprune_device.runtimes import facts_of, register
from hwprune_device.runtimes.onnxrt.runtime import OnnxNetwork, OnnxRuntime

LIBRARY = "HWPRUNE_TEST_NVML_LIBRARY"


class BesideGpu(OnnxRuntime):
    """Takes a GPU's target and runs it on the CPU."""

    def load(self, model: bytes, target: Target, *rest: Any) -> OnnxNetwork:
        return super().load(model, Target(threads=target.threads), *rest)


if __name__ == "__main__":
    nvml._LIBRARY = os.environ[LIBRARY]
    gpu_presence._NODES = (str(Path(os.environ[LIBRARY]).relative_to("/")),)
    place = "tests.hwprune_device.conditions.gpu_board:BesideGpu"
    register(replace(facts_of("trt"), place=place))
    sys.exit(main(sys.argv[1:]))
