"""Reshape, slice, pad and their kin as torch functions; sizes are numbers, on no device."""

from __future__ import annotations

import math
from typing import Any, cast

import onnx
import torch
import torch.nn.functional as F
from torch import fx

from hwprune_device.torch_graph.ops.registry import twin_of
from hwprune_device.torch_graph.twin import Twin, attributes, torch_pads

_FAR = 2**31 - 1


def onnx_reshape(data: torch.Tensor, target: list[int]) -> torch.Tensor:
    """Reshape where 0 keeps the size of the same axis, as ONNX does."""
    return data.reshape([data.shape[k] if size == 0 else size for k, size in enumerate(target)])


def onnx_slice(
    data: torch.Tensor, starts: list[int], ends: list[int], axes: list[int], steps: list[int]
) -> torch.Tensor:
    """data[start:end:step] along each axis; a negative step walks from the end."""
    places: list[Any] = [slice(None)] * data.dim()
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step > 0:
            places[axis] = slice(start, None if end >= _FAR else end, step)
            continue
        walked = list(range(data.shape[axis])[start:end:step])
        data = data.index_select(axis, torch.tensor(walked, device=data.device))
    return data[tuple(places)]


@twin_of("Reshape")
def reshape(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Tensor.reshape, or flatten where it is one."""
    target = _known(twin, node, 1)
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
def shape(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """A tensor's sizes as a list of numbers."""
    values = attributes(node)
    twin.lists.add(node.output[0])
    first, last = int(values.get("start", 0)), values.get("end")
    return twin.call(sizes_of, twin.get(node.input[0]), first, last)


def sizes_of(data: torch.Tensor, first: int, last: int | None) -> list[int]:
    """Sizes of some axes."""
    return list(data.shape[first:last])


def joined_lists(*parts: list[int]) -> list[int]:
    """One list of several."""
    return [number for part in parts for number in part]


@twin_of("Concat")
def concat(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """torch.cat; of shapes, one list of numbers."""
    if twin.lists.intersection(node.input):
        twin.lists.add(node.output[0])
        parts = [_known(twin, node, position) for position in range(len(node.input))]
        return twin.call(joined_lists, *parts)
    return twin.call(
        torch.cat, [twin.get(name) for name in node.input], int(attributes(node)["axis"])
    )


@twin_of("Split")
def split(twin: Twin, node: onnx.NodeProto) -> tuple[fx.Node, ...]:
    """torch.split by sizes, or torch.chunk into equal parts."""
    axis, sizes = int(attributes(node).get("axis", 0)), twin.ints(node, 1)
    data = twin.get(node.input[0])
    if sizes is not None:
        parts = twin.call(torch.split, data, sizes, axis)
    else:
        parts = twin.call(torch.chunk, data, len(node.output), axis)
    return tuple(twin.call(_item, parts, position) for position in range(len(node.output)))


def _item(parts: Any, position: int) -> torch.Tensor:
    return cast(torch.Tensor, parts[position])


@twin_of("Slice")
def slice_(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Plain indexing."""
    starts, ends = _known(twin, node, 1), _known(twin, node, 2)
    axes = twin.ints(node, 3) or list(range(len(starts)))
    steps = twin.ints(node, 4) or [1] * len(starts)
    ends = [min(end, _FAR) for end in ends]
    return twin.call(onnx_slice, twin.get(node.input[0]), starts, ends, axes, steps)


@twin_of("Pad")
def pad(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """F.pad."""
    pads, mode = _known(twin, node, 1), attributes(node).get("mode", "constant")
    number = twin.scalar(node, 2)
    if mode not in _PADS or (number is None and any(node.input[2:3])):
        raise NotImplementedError(f"{node.name} pads by {mode}, or with a number it computes")
    if any(node.input[3:4]):
        pads = _on_all_axes(pads, _known(twin, node, 3), twin.rank(node.input[0]))
    options = {"value": number or 0.0} if mode == "constant" else {}
    ordered = torch_pads(pads)
    while len(ordered) > 2 and ordered[-2:] == [0, 0]:
        ordered = ordered[:-2]
    return twin.call(F.pad, twin.get(node.input[0]), ordered, mode=_PADS[mode], **options)


_PADS = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}


def _on_all_axes(pads: list[int], axes: list[int], rank: int) -> list[int]:
    """Begins and ends of all axes, from those of some."""
    whole = [0] * 2 * rank
    for k, axis in enumerate(axes):
        whole[axis % rank], whole[axis % rank + rank] = pads[k], pads[k + len(axes)]
    return whole


@twin_of("Expand")
def expand(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Broadcast to a known shape."""
    return twin.call(onnx_expand, twin.get(node.input[0]), _known(twin, node, 1))


def onnx_expand(data: torch.Tensor, target: list[int]) -> torch.Tensor:
    """Broadcast both ways, as ONNX does: an axis keeps its size where the target says 1."""
    return data.expand(torch.broadcast_shapes(data.shape, tuple(target)))


def _known(twin: Twin, node: onnx.NodeProto, position: int) -> Any:
    if node.input[position] in twin.lists:
        return twin.get(node.input[position])
    numbers = twin.ints(node, position)
    if numbers is None:
        raise NotImplementedError(f"{node.name} computes its input {position}")
    return [int(number) for number in numbers]
