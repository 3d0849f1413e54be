"""Floats as integers and back, with gradients that pass straight through the rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from torch import fx

from hwprune_device.torch_graph.ops.registry import twin_of
from hwprune_device.torch_graph.twin import Twin, attributes


@twin_of("QuantizeLinear")
def quantize(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Whole numbers, held as floats."""
    point = twin.integers(node, 2)
    if point is None or node.input[2:3] == [""]:
        raise NotImplementedError(f"{node.name} has no constant zero point")
    limits = np.iinfo(point.dtype)
    return twin.call(round_to, *_parts(twin, node), limits.min, limits.max)


@twin_of("DequantizeLinear")
def dequantize(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Floats."""
    return twin.call(scale_back, *_parts(twin, node))


def _parts(twin: Twin, node: onnx.NodeProto) -> tuple[Any, ...]:
    """Data, scale, zero point, and the shape in which the two broadcast against the data."""
    values = attributes(node)
    if values.get("block_size", 0) or twin.rank(node.input[1]) > 1:
        raise NotImplementedError(f"{node.name} has scales of blocks")
    shape: list[int] = []
    if twin.rank(node.input[1]) == 1:
        rank = twin.rank(node.input[0])
        shape = [1] * rank
        shape[int(values.get("axis", 1)) % rank] = -1
    given = [twin.get(name) for name in node.input if name]
    return (*given, *[0] * (3 - len(given)), shape)


def round_to(
    data: torch.Tensor,
    scale: torch.Tensor,
    point: torch.Tensor,
    shape: list[int],
    least: int,
    most: int,
) -> torch.Tensor:
    """The nearest whole numbers (halves go to even ones), inside the limits."""
    exact = data / scale.reshape(shape) + 0.0
    # Straight-through: the value is rounded, the gradient is that of `exact`.
    rounded = exact + (exact.round() - exact).detach()
    return (rounded + point.reshape(shape)).clamp(least, most)


def scale_back(
    data: torch.Tensor, scale: torch.Tensor, point: torch.Tensor | int, shape: list[int]
) -> torch.Tensor:
    """(data - zero point) * scale."""
    zero = point.reshape(shape) if isinstance(point, torch.Tensor) else point
    return (data.to(scale.dtype) - zero) * scale.reshape(shape)
