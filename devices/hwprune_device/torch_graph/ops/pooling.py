"""Pooling and reductions as torch functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx
import torch
import torch.nn.functional as F
from torch import fx

from hwprune_device.torch_graph.ops.registry import twin_of
from hwprune_device.torch_graph.twin import (
    Twin,
    attributes,
    even_pads,
    pad_same,
    same_pads,
    torch_pads,
)


def onnx_l2(data: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    """Euclidean norm over some axes."""
    return torch.linalg.vector_norm(data, 2, axes, keep)


def onnx_l1(data: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    """Sum of absolute values over some axes."""
    return torch.linalg.vector_norm(data, 1, axes, keep)


def onnx_squares(data: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    """Sum of squares over some axes."""
    return torch.sum(data.square(), axes, keep)


_AVERAGES = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_MAXIMA = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceLogSumExp": torch.logsumexp,
    "ReduceMean": torch.mean,
    "ReduceSum": torch.sum,
    "ReduceMax": torch.amax,
    "ReduceMin": torch.amin,
    "ReduceL1": onnx_l1,
    "ReduceL2": onnx_l2,
    "ReduceSumSquare": onnx_squares,
}


@twin_of("MaxPool")
def max_pool(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """F.max_poolNd; padding that it does not take is padded with minus infinity first."""
    values, data = attributes(node), twin.get(node.input[0])
    axes = len(values["kernel_shape"])
    if any(node.output[1:]):
        raise NotImplementedError(f"{node.name} gives positions")
    pads, ones = values.get("pads", [0] * 2 * axes), [1] * axes
    if (word := values.get("auto_pad", "NOTSET")).startswith("SAME"):
        places = (list(values.get(key, ones)) for key in ("kernel_shape", "strides", "dilations"))
        data = twin.call(pad_same, data, *places, word == "SAME_UPPER", float("-inf"))
    even = _taken_pads(pads, values["kernel_shape"])
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
    """F.avg_poolNd; padding that it does not take is padded with zeros first."""
    values, data = attributes(node), twin.get(node.input[0])
    kernel = list(values["kernel_shape"])
    axes = len(kernel)
    pads, ceil = values.get("pads", [0] * 2 * axes), bool(values.get("ceil_mode", 0))
    strides, counted = list(values.get("strides", [1] * axes)), values.get("count_include_pad", 0)
    if set(values.get("dilations", ())) - {1}:
        raise NotImplementedError(f"{node.name} averages places that lie apart")
    if (word := values.get("auto_pad", "NOTSET")).startswith("SAME"):
        same = twin.call(same_pads, data, kernel, strides, [1] * axes, word == "SAME_UPPER")
        return twin.call(average_padded, data, same, kernel, strides, bool(counted))
    even = _taken_pads(pads, kernel)
    if even is not None:
        return twin.call(_AVERAGES[axes], data, kernel, strides, even, ceil, bool(counted))
    if ceil:
        raise NotImplementedError(f"{node.name} pads unevenly and rounds up")
    around = torch_pads(pads)
    return twin.call(average_padded, data, around, kernel, strides, bool(counted))


def average_padded(
    data: torch.Tensor, pads: list[int], kernel: list[int], strides: list[int], counted: bool
) -> torch.Tensor:
    """Averages with any padding before and after; `counted` says that its zeros count."""
    function = _AVERAGES[len(kernel)]
    # Means over whole windows, zeros of the padding included.
    sums = function(F.pad(data, pads), kernel, strides)
    if counted:
        return sums
    # The share of each window that lies inside the data corrects those means.
    there = data.new_ones((1, 1, *data.shape[2:]))
    return sums / function(F.pad(there, pads), kernel, strides)


def _taken_pads(pads: Sequence[int], kernel: Sequence[int]) -> list[int] | None:
    """Padding as torch's pooling takes it: the same at both ends, at most half a window."""
    even = even_pads(pads)
    fits = even is not None and all(2 * pad <= k for pad, k in zip(even, kernel, strict=True))
    return even if fits else None


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
    if any(node.input[1:2]) and twin.ints(node, 1) is None:
        raise NotImplementedError(f"{node.name} computes its axes")
    if not axes and values.get("noop_with_empty_axes", 0):
        return twin.get(node.input[0])
    axes = axes or list(range(twin.rank(node.input[0])))
    function = _REDUCTIONS[node.op_type]
    return twin.call(function, twin.get(node.input[0]), axes, bool(values.get("keepdims", 1)))
