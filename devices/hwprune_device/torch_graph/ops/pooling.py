"""Pooling and reductions as torch functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import torch
import torch.nn.functional as F
from torch import fx

from hwprune_device.torch_graph.ops.registry import twin_of
from hwprune_device.torch_graph.twin import Twin, attributes, even_pads, torch_pads


def onnx_l2(data: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    """Euclidean norm over some axes."""
    return torch.linalg.vector_norm(data, 2, axes, keep)


def onnx_l1(data: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    """Sum of absolute values over some axes."""
    return torch.linalg.vector_norm(data, 1, axes, keep)


_AVERAGES = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_MAXIMA = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceMean": torch.mean,
    "ReduceSum": torch.sum,
    "ReduceMax": torch.amax,
    "ReduceMin": torch.amin,
    "ReduceL1": onnx_l1,
    "ReduceL2": onnx_l2,
}


@twin_of("MaxPool")
def max_pool(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """F.max_poolNd; uneven padding is padded with minus infinity first."""
    values, data = attributes(node), twin.get(node.input[0])
    axes = len(values["kernel_shape"])
    pads = values.get("pads", [0] * 2 * axes)
    even = even_pads(pads)
    if even is None:
        data = twin.call(F.pad, data, torch_pads(pads), value=float("-inf"))
        even = [0] * axes
    return twin.call(
        _MAXIMA[axes],
        data,
        list(values["kernel_shape"]),
        list(values.get("strides", [1] * axes)),
        even,
        list(values.get("dilations", [1] * axes)),
        bool(values.get("ceil_mode", 0)),
    )


@twin_of("AveragePool")
def average_pool(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """F.avg_poolNd."""
    values = attributes(node)
    axes = len(values["kernel_shape"])
    even = even_pads(values.get("pads", [0] * 2 * axes))
    if even is None:
        raise NotImplementedError(f"uneven pads of {node.name}")
    return twin.call(
        _AVERAGES[axes],
        twin.get(node.input[0]),
        list(values["kernel_shape"]),
        list(values.get("strides", [1] * axes)),
        even,
        bool(values.get("ceil_mode", 0)),
        bool(values.get("count_include_pad", 0)),
    )


@twin_of("GlobalAveragePool", "GlobalMaxPool")
def global_pool(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Mean or maximum over all spatial axes, which stay as size 1."""
    function: Callable[..., Any] = (
        torch.mean if node.op_type == "GlobalAveragePool" else torch.amax
    )
    axes = list(range(2, twin.rank(node.input[0])))
    return twin.call(function, twin.get(node.input[0]), axes, True)


@twin_of(*_REDUCTIONS)
def reduce(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Mean, sum, maximum or minimum over some axes."""
    values = attributes(node)
    axes = twin.ints(node, 1) or list(values.get("axes", ()))
    if not axes and values.get("noop_with_empty_axes", 0):
        return twin.get(node.input[0])
    axes = axes or list(range(twin.rank(node.input[0])))
    function = _REDUCTIONS[node.op_type]
    return twin.call(function, twin.get(node.input[0]), axes, bool(values.get("keepdims", 1)))
