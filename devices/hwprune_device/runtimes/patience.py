"""How long one network may take to be built, beyond a protocol's time-out.

Standard library alone: the board's supervisor waits this long, and the head for the board.
"""

from __future__ import annotations

from hwprune_device.job import Target
from hwprune_device.runtimes.onnxrt.options import provider_key
from hwprune_device.runtimes.trt.options import TRT

ENGINE_S = 1800.0
"""TensorRT tries kernels on the board itself; a large network takes a small Jetson that long."""
INDUCTOR_S = 600.0
"""Inductor compiles the first network of a kind for minutes; later ones come from its cache."""
_ENGINES = ("tensorrt", "nvtensorrtrtx")


def patience_s(target: Target) -> float:
    """Seconds that building one network for a target may take beyond `Protocol.timeout_s`."""
    if target.runtime == "trt":
        return float(TRT.of(target)["build_timeout_s"])
    if target.runtime == "torch":
        return INDUCTOR_S if target.options.get("mode") == "inductor" else 0.0
    provider = provider_key(str(target.options.get("provider", "")))
    return ENGINE_S if target.runtime == "onnxrt" and provider in _ENGINES else 0.0
