"""Reshape, slice, pad and their kin as torch functions; sizes are numbers, on no device."""

from __future__ import annotations

import math
from typing import Any

import onnx
import torch
import torch.nn.functional as F
from torch import fx

from hwprune_device.torch_graph.ops.registry import twin_of
from hwprune_device.torch_graph.twin import Twin, attributes, torch_pads

# Exporters write the largest int64, or int32, for "to the end".
_FAR = 2**31 - 1


def onnx_reshape(data: torch.Tensor, target: list[int]) -> torch.Tensor:
    """Reshape where 0 keeps the size of the same axis, as ONNX does."""
    return data.reshape([data.shape[k] if size == 0 else size for k, size in enumerate(target)])


def onnx_slice(
    data: torch.Tensor,
    starts: list[int],
    ends: list[int],
    axes: list[int] | None,
    steps: list[int] | None,
) -> torch.Tensor:
    """data[start:end:step] along each axis; a negative step walks from the end."""
    places: list[Any] = [slice(None)] * data.dim()
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step > 0:
            places[axis] = slice(start, None if end >= _FAR else end, step)
            continue
        # torch has no negative steps; the numbers of the places are known when it runs.
        walked = list(range(data.shape[axis])[start:end:step])
        data = data.index_select(axis, torch.tensor(walked, device=data.device))
    return data[tuple(places)]


@twin_of("Reshape")
def reshape(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Tensor.reshape, or flatten where it is one."""
    target = twin.numbers(node, 1)
    if target == [0, -1] and twin.rank(node.input[0]) > 1:
        return twin.call(torch.flatten, twin.get(node.input[0]), 1)
    return twin.call(onnx_reshape, twin.get(node.input[0]), target)


@twin_of("Flatten")
def flatten(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """torch.flatten from axis 1, or the axes before and after another one."""
    axis = int(attributes(node).get("axis", 1))
    if axis == 1:
        return twin.call(torch.flatten, twin.get(node.input[0]), 1)
    return twin.call(onnx_flatten, twin.get(node.input[0]), axis)


def onnx_flatten(data: torch.Tensor, axis: int) -> torch.Tensor:
    """A matrix: rows along the axes before this one, columns along it and those after."""
    return data.reshape(math.prod(data.shape[:axis]), math.prod(data.shape[axis:]))


@twin_of("Transpose")
def transpose(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """torch.permute."""
    rank = twin.rank(node.input[0])
    order = attributes(node).get("perm") or list(range(rank))[::-1]
    return twin.call(torch.permute, twin.get(node.input[0]), list(order))


@twin_of("Squeeze", "Unsqueeze")
def squeeze(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Axes of size 1 come or go."""
    axes = twin.ints(node, 1) or attributes(node).get("axes")
    if not axes:
        raise NotImplementedError(f"{node.name} names no axes")
    data = twin.get(node.input[0])
    if node.op_type == "Squeeze":
        return twin.call(torch.squeeze, data, list(axes))
    rank = twin.rank(node.input[0]) + len(axes)
    for axis in sorted(int(axis) % rank for axis in axes):
        data = twin.call(torch.unsqueeze, data, axis)
    return data


@twin_of("Shape")
def shape(twin: Twin, node: onnx.NodeProto) -> tuple[()]:
    """A tensor's sizes as a list of numbers."""
    values = attributes(node)
    first, last = int(values.get("start", 0)), values.get("end")
    data = twin.get(node.input[0])
    sizes = twin.call(sizes_of, data, first, last)
    # No tensor: on a GPU every read of a size would wait for the device.
    twin.set_list(node.output[0], sizes, data)
    return ()


def sizes_of(data: torch.Tensor, first: int, last: int | None) -> list[int]:
    """Sizes of some axes."""
    return list(data.shape[first:last])


def joined_lists(*parts: list[int]) -> list[int]:
    """One list of several."""
    return [number for part in parts for number in part]


@twin_of("Concat")
def concat(twin: Twin, node: onnx.NodeProto) -> fx.Node | tuple[()]:
    """torch.cat; of shapes, one list of numbers."""
    origin = twin.origin(node.input)
    if origin is not None:
        parts = [twin.numbers(node, position) for position in range(len(node.input))]
        joined = twin.call(joined_lists, *parts)
        twin.set_list(node.output[0], joined, origin)
        return ()
    return twin.call(
        torch.cat, [twin.get(name) for name in node.input], int(attributes(node)["axis"])
    )


@twin_of("Split")
def split(twin: Twin, node: onnx.NodeProto) -> tuple[fx.Node, ...]:
    """torch.split by sizes, or torch.chunk into equal parts."""
    values = attributes(node)
    axis, sizes = int(values.get("axis", 0)), twin.numbers(node, 1) or values.get("split")
    data = twin.get(node.input[0])
    if sizes is not None:
        parts = twin.call(torch.split, data, sizes, axis)
    else:
        parts = twin.call(torch.chunk, data, len(node.output), axis)
    return twin.items(parts, len(node.output))


@twin_of("Slice")
def slice_(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Plain indexing."""
    starts, ends, axes, steps = (twin.numbers(node, position) for position in range(1, 5))
    if isinstance(ends, list):
        ends = [min(end, _FAR) for end in ends]
    return twin.call(onnx_slice, twin.get(node.input[0]), starts, ends, axes, steps)


@twin_of("Pad")
def pad(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """F.pad where it does what is asked for."""
    pads, mode = twin.numbers(node, 1), attributes(node).get("mode", "constant")
    number, axes = twin.scalar(node, 2), twin.numbers(node, 3)
    data, rank = twin.get(node.input[0]), twin.rank(node.input[0])
    if mode == "constant" and number is None and any(node.input[2:3]):
        raise NotImplementedError(f"{node.name} pads with a number it computes")
    if not isinstance(pads, list) or isinstance(axes, fx.Node):
        return twin.call(onnx_pad, data, pads, mode, number or 0.0, axes)
    whole = pads if axes is None else on_all_axes(pads, axes, rank)
    ordered = torch_pads(whole)
    if not any(ordered):
        return data
    if mode == "constant":
        while ordered[-2:] == [0, 0]:
            ordered = ordered[:-2]
        return twin.call(F.pad, data, ordered, mode="constant", value=number or 0.0)
    # F.pad mirrors the last one to three axes alone, and never batch or channels.
    inner = 2 * (rank - 2)
    if mode in _PADS and 0 < inner <= 6 and min(ordered) >= 0 and not any(ordered[inner:]):
        return twin.call(F.pad, data, ordered[:inner], mode=_PADS[mode])
    return twin.call(onnx_pad, data, whole, mode, 0.0, None)


_PADS = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def onnx_pad(
    data: torch.Tensor, pads: list[int], mode: str, number: float, axes: list[int] | None
) -> torch.Tensor:
    """Any axes padded or cropped, axis by axis; `pads` has all begins, then all ends."""
    whole = pads if axes is None else on_all_axes(pads, axes, data.dim())
    if mode == "constant":
        return F.pad(data, torch_pads(whole), value=number)
    for axis, size in enumerate(data.shape):
        before, after = whole[axis], whole[axis + data.dim()]
        if before or after:
            places = torch.arange(-before, size + after, device=data.device)
            data = data.index_select(axis, _mirrored(places, size, mode))
    return data


def _mirrored(places: torch.Tensor, size: int, mode: str) -> torch.Tensor:
    """Places outside an axis as those inside whose elements they repeat."""
    if mode == "edge":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places % size
    # "reflect" goes there and back without repeating either end.
    period = max(1, 2 * (size - 1))
    folded = places % period
    return torch.minimum(folded, period - folded)


def on_all_axes(pads: list[int], axes: list[int], rank: int) -> list[int]:
    """Begins and ends of all axes, from those of some."""
    whole = [0] * 2 * rank
    for k, axis in enumerate(axes):
        whole[axis % rank], whole[axis % rank + rank] = pads[k], pads[k + len(axes)]
    return whole


@twin_of("Expand")
def expand(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Broadcast to a known shape."""
    return twin.call(onnx_expand, twin.get(node.input[0]), twin.numbers(node, 1))


def onnx_expand(data: torch.Tensor, target: list[int]) -> torch.Tensor:
    """Broadcast both ways, as ONNX does: an axis keeps its size where the target says 1."""
    return data.expand(torch.broadcast_shapes(data.shape, tuple(target)))
