"""What is known of TensorRT for RTX without importing it."""

from __future__ import annotations

from hwprune_device.runtimes.facts import RuntimeFacts, always
from hwprune_device.runtimes.trt_rtx.options import TRT_RTX

FACTS = RuntimeFacts(
    title="TensorRT for RTX, on the first GPU",
    place="hwprune_device.runtimes.trt_rtx.runtime:TrtRtxRuntime",
    options=TRT_RTX,
    packages=("numpy", "onnx", "tensorrt_rtx_bindings", "pycuda"),
    pip_names={
        "tensorrt_rtx_bindings": "tensorrt-rtx-cu13-bindings tensorrt-rtx-cu13-libs",
    },
    usual_precision="fp16",
    has_device_clock=True,
    on_gpu=always,
    patience_s=lambda options: float({**TRT_RTX.defaults, **options}["build_timeout_s"]),
)
