"""The torch twin of each kind of ONNX op; importing this package fills the registry."""

from hwprune_device.torch_graph.ops import (
    elementwise,
    gathering,
    layers,
    pooling,
    quantization,
    recurrent,
    shaping,
)
from hwprune_device.torch_graph.ops.registry import EMITS, twin_of

__all__ = [
    "EMITS",
    "elementwise",
    "gathering",
    "layers",
    "pooling",
    "quantization",
    "recurrent",
    "shaping",
    "twin_of",
]
