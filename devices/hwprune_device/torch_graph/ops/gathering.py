"""Ops that pick, repeat or move elements as torch functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import fx

from hwprune_device.torch_graph.ops.registry import twin_of
from hwprune_device.torch_graph.twin import Twin, attributes


@twin_of("Gather")
def gather(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Indexing along an axis; one constant index is a plain number."""
    axis = int(attributes(node).get("axis", 0)) % twin.rank(node.input[0])
    single = twin.scalar(node, 1) if twin.rank(node.input[1]) == 0 else None
    if single is not None:
        return twin.call(torch.select, twin.get(node.input[0]), axis, int(single))
    return twin.call(onnx_gather, twin.get(node.input[0]), twin.get(node.input[1]), axis)


def onnx_gather(data: torch.Tensor, indices: torch.Tensor, axis: int) -> torch.Tensor:
    """Data picked along an axis by indices of any shape; negative ones count from the end."""
    flat = indices.reshape(-1).to(torch.int64)
    picked = data.index_select(axis, torch.where(flat < 0, flat + data.shape[axis], flat))
    return picked.reshape(*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])


@twin_of("Tile")
def tile(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Tensor.repeat."""
    repeats = twin.ints(node, 1)
    if repeats is None:
        raise NotImplementedError(f"{node.name} computes its repeats")
    return twin.call(torch.Tensor.repeat, twin.get(node.input[0]), repeats)


@twin_of("Resize")
def resize(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """F.interpolate of height and width."""
    values, rank = attributes(node), twin.rank(node.input[0])
    mode, place = values.get("mode", "nearest"), values.get(_PLACE, "half_pixel")
    if values.get("antialias", 0) or values.get("exclude_outside", 0):
        raise NotImplementedError(f"{node.name} weighs pixels as torch does not")
    if mode == "nearest" and (place, values.get("nearest_mode")) == ("asymmetric", "floor"):
        options: dict[str, Any] = {"mode": "nearest"}
    elif mode in ("linear", "cubic") and place in _ALIGNED:
        names = {"linear": {3: "linear", 4: "bilinear", 5: "trilinear"}, "cubic": {4: "bicubic"}}
        options = {"mode": names[mode][rank], "align_corners": _ALIGNED[place]}
    else:
        raise NotImplementedError(f"{node.name} resizes by {mode}, {place}")
    axes = list(values.get("axes", range(rank)))
    given = twin.ints(node, 3)
    if given is not None:
        sizes = dict(zip(axes, given, strict=True))
        return twin.call(
            F.interpolate, twin.get(node.input[0]), [sizes[k] for k in range(2, rank)], **options
        )
    scales = twin.floats(node, 2)
    if scales is None:
        raise NotImplementedError(f"{node.name} computes its sizes")
    factors = dict(zip(axes, scales, strict=True))
    by = [factors.get(k, 1.0) for k in range(2, rank)]
    return twin.call(resize_by, twin.get(node.input[0]), by, **options)


def resize_by(data: torch.Tensor, factors: list[float], **options: Any) -> torch.Tensor:
    """Height and width times their factors."""
    sizes = [
        math.floor(size * factor + _NEARLY)
        for size, factor in zip(data.shape[2:], factors, strict=True)
    ]
    return F.interpolate(data, sizes, **options)


_NEARLY = 1e-4
"""Factors are float32: 9 times a third may be a little less than 3."""


_PLACE = "coordinate_transformation_mode"
_ALIGNED = {"align_corners": True, "half_pixel": False, "pytorch_half_pixel": False}


@twin_of("DepthToSpace")
def depth_to_space(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Blocks of channels become pixels."""
    values = attributes(node)
    crd = values.get("mode", "DCR") == "CRD"
    return twin.call(move_to_space, twin.get(node.input[0]), int(values["blocksize"]), crd)


def move_to_space(data: torch.Tensor, block: int, crd: bool) -> torch.Tensor:
    """N C*b*b H W -> N C H*b W*b; `crd` says that a channel's blocks lie side by side."""
    if crd:
        return F.pixel_shuffle(data, block)
    batch, depth, height, width = data.shape
    grid = data.reshape(batch, block, block, depth // block**2, height, width)
    moved = grid.permute(0, 3, 4, 1, 5, 2)
    return moved.reshape(batch, depth // block**2, height * block, width * block)


@twin_of("SpaceToDepth")
def space_to_depth(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Pixels become blocks of channels."""
    block = int(attributes(node)["blocksize"])
    return twin.call(move_to_depth, twin.get(node.input[0]), block)


def move_to_depth(data: torch.Tensor, block: int) -> torch.Tensor:
    """N C H*b W*b -> N b*b*C H W."""
    batch, depth, height, width = data.shape
    grid = data.reshape(batch, depth, height // block, block, width // block, block)
    moved = grid.permute(0, 3, 5, 1, 2, 4)
    return moved.reshape(batch, block * block * depth, height // block, width // block)


@twin_of("ArgMax", "ArgMin")
def ranked(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """torch.argmax or argmin along an axis."""
    values = attributes(node)
    function = torch.argmax if node.op_type == "ArgMax" else torch.argmin
    axis, keep = int(values.get("axis", 0)), bool(values.get("keepdims", 1))
    return twin.call(function, twin.get(node.input[0]), axis, keep)


@twin_of("ScatterND")
def scatter(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Updates placed at rows of indices, in a copy."""
    if attributes(node).get("reduction", "none") != "none":
        raise NotImplementedError(f"{node.name} adds up what it scatters")
    return twin.call(onnx_scatter, *(twin.get(name) for name in node.input))


def onnx_scatter(data: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor) -> torch.Tensor:
    """A copy of data in which data[row] is the update, for each row of indices."""
    places = tuple(indices[..., k] for k in range(indices.shape[-1]))
    return data.index_put(places, updates)


@twin_of("ConstantOfShape")
def filled(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """A constant, on the module's device."""
    shape = twin.ints(node, 0)
    if shape is None:
        raise NotImplementedError(f"{node.name} computes its shape")
    value = attributes(node).get("value")
    number = onnx.numpy_helper.to_array(value) if value is not None else np.zeros(1, np.float32)
    return twin.constant(np.full(shape, number.reshape(-1)[0]))
