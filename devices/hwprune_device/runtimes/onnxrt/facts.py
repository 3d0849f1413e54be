"""What is known of ONNX Runtime without importing it."""

from __future__ import annotations

from hwprune_device.runtimes.facts import Options, RuntimeFacts
from hwprune_device.runtimes.onnxrt.options import GPU_PROVIDERS, ONNXRT, provider_key
from hwprune_device.runtimes.onnxrt.versions import least_version, newest_opset

_ENGINE_S = 1800.0
"""As TensorRT's own: these providers build with it."""
_ENGINES = ("tensorrt", "nvtensorrtrtx")


def _provider(options: Options) -> str:
    return provider_key(str(options.get("provider", "")))


def _on_gpu(options: Options, *, present: bool) -> bool:
    return _provider(options) in GPU_PROVIDERS


FACTS = RuntimeFacts(
    title="ONNX Runtime, CPU",
    place="hwprune_device.runtimes.onnxrt.runtime:OnnxRuntime",
    options=ONNXRT,
    packages=("numpy", "onnx", "onnxruntime"),
    pip_brings_all=True,
    on_gpu=_on_gpu,
    newest_opset=newest_opset,
    least_version=least_version,
    patience_s=lambda options: _ENGINE_S if _provider(options) in _ENGINES else 0.0,
)
