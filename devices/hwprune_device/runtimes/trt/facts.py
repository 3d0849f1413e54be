"""What is known of TensorRT without importing it."""

from __future__ import annotations

from hwprune_device.runtimes.facts import RuntimeFacts, always
from hwprune_device.runtimes.trt.options import TRT

FACTS = RuntimeFacts(
    title="TensorRT, on the first GPU",
    place="hwprune_device.runtimes.trt.runtime:TrtRuntime",
    options=TRT,
    packages=("numpy", "onnx", "tensorrt", "pycuda"),
    usual_precision="fp16",
    system_package="tensorrt",
    system="a Jetson",
    system_install="sudo apt-get install -y python3-libnvinfer",
    has_device_clock=True,
    on_gpu=always,
    # It tries kernels on the board itself: a large network takes a small Jetson half an hour.
    patience_s=lambda options: float({**TRT.defaults, **options}["build_timeout_s"]),
)
