"""The staircase: what networks take on a device whose kernels work on tiles of channels."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx

from hwprune_device.values import Shape, value_shapes

TILE = 8
"""Channels are computed in tiles of this many, as by tensor cores: fewer save nothing."""
LAYER_MS = 0.02
"""What a layer takes however small it is."""
MACS_PER_MS = 4e6
"""A slow device, so that small networks take times that can be told apart."""
_INT8_SHARE = 0.5
"""Of that time, where a layer reads what was quantised."""


def staircase_ms(model: onnx.ModelProto) -> float:
    """Milliseconds of one inference of a network whose shapes are fixed.

    Layers with weights take time, everything else is thought to be fused into them. Only int8 is
    faster than the rest: it lies in the graph, other precisions do not in every release.
    """
    shapes = value_shapes(model)
    quantised = {
        name
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
        for name in node.output
    }
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return sum(
        LAYER_MS
        + _tiled_macs(node, shapes)
        / MACS_PER_MS
        * (_INT8_SHARE if node.input[0] in quantised else 1.0)
        for node in layers
    )


def _tiled_macs(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> float:
    """Multiply-accumulates of whole tiles; 0 where a shape is not known."""
    weight, output = shapes.get(node.input[1], ()), shapes.get(node.output[0], ())
    sizes = (*weight, *output)
    if len(weight) < 2 or not all(isinstance(size, int) for size in sizes):
        return 0.0
    if node.op_type == "Conv":
        channels, kernel = weight[:2], math.prod(map(int, weight[2:]))
        places = math.prod(int(size) for at, size in enumerate(output) if at != 1)
    else:
        channels, kernel = weight[-2:], 1
        places = math.prod(map(int, output[:-1]))
    tiles = math.prod(-(-int(count) // TILE) * TILE for count in channels)
    return float(tiles * kernel * places)
