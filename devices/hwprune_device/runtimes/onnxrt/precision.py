"""What ONNX Runtime's GPU providers must be given so that they compute in a precision.

The CUDA provider computes as the graph says; TensorRT's has options, and quantises what carries
Q/DQ.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import onnx

_OPTIONS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("cuda", "fp32"): {"use_tf32": "0"},
    ("cuda", "tf32"): {"use_tf32": "1"},
    ("tensorrt", "fp16"): {"trt_fp16_enable": "1"},
    ("tensorrt", "bf16"): {"trt_bf16_enable": "1"},
    # With fp16 beside it, for layers that have no int8 kernel, as `trt` does.
    ("tensorrt", "int8"): {"trt_int8_enable": "1", "trt_fp16_enable": "1"},
}
_TF32 = "NVIDIA_TF32_OVERRIDE"


def provider_options(provider: str, precision: str) -> dict[str, str]:
    """The provider's own options for a precision."""
    return dict(_OPTIONS.get((provider, precision), {}))


def graph_in(model: bytes, provider: str, precision: str) -> bytes:
    """The network as the provider must be given it."""
    if (provider, precision) == ("cuda", "fp16"):
        from hwprune_device.precision.half import to_half

        # The CUDA provider has no switch for fp16: it computes in the types of the graph.
        return to_half(onnx.load_model_from_string(model), "fp16").SerializeToString()
    if (provider, precision) == ("tensorrt", "int8"):
        from hwprune_device.precision.quantized import is_quantized, with_qdq

        graph = onnx.load_model_from_string(model)
        return model if is_quantized(graph) else with_qdq(graph).SerializeToString()
    return model


def settle_tf32(provider: str, precision: str) -> None:
    """Keep fp32 from being computed in tf32, as TensorRT does when nothing is said.

    NVIDIA's libraries look when they start, which is after this in the child that measures.
    """
    if provider == "tensorrt" and precision == "fp32":
        os.environ[_TF32] = "0"
