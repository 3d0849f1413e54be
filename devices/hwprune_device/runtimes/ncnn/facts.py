"""What is known of ncnn without importing it."""

from __future__ import annotations

from hwprune_device.runtimes.facts import RuntimeFacts
from hwprune_device.runtimes.ncnn.options import NCNN

FACTS = RuntimeFacts(
    title="ncnn, CPU",
    place="hwprune_device.runtimes.ncnn.runtime:NcnnRuntime",
    options=NCNN,
    packages=("numpy", "onnx", "ncnn", "pnnx"),
    # pip would bring torch along, which pnnx's Python side imports and its program does not.
    alone=("pnnx",),
    pip_brings_all=True,
    largest_batch=1,
)
