"""What is known of the torch runtime without importing torch."""

from __future__ import annotations

from hwprune_device.runtimes.facts import Options, RuntimeFacts
from hwprune_device.runtimes.torchrt.options import TORCH

_INDUCTOR_S = 600.0
"""Inductor compiles the first network of a kind for minutes; later ones come from its cache."""


def _on_gpu(options: Options, *, present: bool) -> bool:
    device = options.get("device", "auto")
    return device == "cuda" or (device == "auto" and present)


FACTS = RuntimeFacts(
    title="PyTorch, on the first GPU where there is one",
    place="hwprune_device.runtimes.torchrt.runtime:TorchRuntime",
    options=TORCH,
    packages=("numpy", "onnx", "torch"),
    has_device_clock=True,
    on_gpu=_on_gpu,
    patience_s=lambda options: _INDUCTOR_S if options.get("mode") == "inductor" else 0.0,
)
