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
    # index_select takes a flat list of indices, none of them negative.
    flat = _from_front(indices.reshape(-1), data.shape[axis])
    picked = data.index_select(axis, flat)
    return picked.reshape(*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])


@twin_of("Tile")
def tile(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Tensor.repeat."""
    return twin.call(torch.Tensor.repeat, twin.get(node.input[0]), twin.numbers(node, 1))


@twin_of("GatherElements")
def gather_elements(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """torch.gather; negative indices count from the end."""
    axis = int(attributes(node).get("axis", 0)) % twin.rank(node.input[0])
    return twin.call(pick_elements, *(twin.get(name) for name in node.input), axis)


def pick_elements(data: torch.Tensor, indices: torch.Tensor, axis: int) -> torch.Tensor:
    """data[..., indices[place], ...] at every place of the indices."""
    # torch takes fewer indices than places on other axes, as ONNX does.
    return torch.gather(data, axis, _from_front(indices, data.shape[axis]))


@twin_of("GatherND")
def gather_rows(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Indexing by rows of indices, behind leading axes that data and indices share."""
    shared = int(attributes(node).get("batch_dims", 0))
    return twin.call(pick_rows, *(twin.get(name) for name in node.input), shared)


def pick_rows(data: torch.Tensor, indices: torch.Tensor, shared: int) -> torch.Tensor:
    """data[row] for each row of indices; `shared` leading axes belong together."""
    lead, depth = data.shape[:shared], indices.shape[-1]
    count = math.prod(lead)
    # Shared axes become one, so that a single row number stands for them.
    cells = data.reshape(count, *data.shape[shared:])
    rows = indices.reshape(count, -1, depth)
    which = torch.arange(count, device=data.device)[:, None].expand(rows.shape[:2])
    places = [_from_front(rows[..., k], cells.shape[k + 1]) for k in range(depth)]
    picked = cells[(which, *places)]
    return picked.reshape(*indices.shape[:-1], *data.shape[shared + depth :])


def _from_front(indices: torch.Tensor, size: int) -> torch.Tensor:
    whole = indices.to(torch.int64)
    return torch.where(whole < 0, whole + size, whole)


@twin_of("TopK")
def top(twin: Twin, node: onnx.NodeProto) -> tuple[fx.Node, ...]:
    """A stable sort: of equal elements the first one wins, as in runtimes."""
    values = attributes(node)
    found = twin.call(
        first_sorted,
        twin.get(node.input[0]),
        twin.numbers(node, 1),
        int(values.get("axis", -1)),
        bool(values.get("largest", 1)),
    )
    return twin.items(found, 2)


def first_sorted(
    data: torch.Tensor, count: list[int], axis: int, largest: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest or smallest elements along an axis, and where they are."""
    ordered, places = torch.sort(data, dim=axis, descending=largest, stable=True)
    return ordered.narrow(axis, 0, count[0]), places.narrow(axis, 0, count[0])


@twin_of("CumSum")
def running_sum(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """torch.cumsum, from either end, with or without the element itself."""
    values = attributes(node)
    return twin.call(
        summed_up,
        twin.get(node.input[0]),
        twin.numbers(node, 1),
        bool(values.get("exclusive", 0)),
        bool(values.get("reverse", 0)),
    )


def summed_up(data: torch.Tensor, axis: list[int], exclusive: bool, reverse: bool) -> torch.Tensor:
    """Sums of all elements up to each, along an axis."""
    turned = data.flip(axis[0]) if reverse else data
    sums = turned.cumsum(axis[0], dtype=data.dtype)
    sums = sums - turned if exclusive else sums
    return sums.flip(axis[0]) if reverse else sums


@twin_of("Range")
def counted(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """torch.arange, on the device of its limits."""
    return twin.call(count_up, *(twin.get(name) for name in node.input))


def count_up(start: torch.Tensor, limit: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Numbers from start to limit."""
    first, end, by = (value.item() for value in (start, limit, step))
    return torch.arange(first, end, by, dtype=limit.dtype, device=limit.device)


@twin_of("Resize")
def resize(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """F.interpolate of height and width."""
    values, rank = attributes(node), twin.rank(node.input[0])
    mode, place = values.get("mode", "nearest"), values.get(_PLACE, "half_pixel")
    if values.get("antialias", 0) or values.get("exclude_outside", 0):
        raise NotImplementedError(f"{node.name} weighs pixels as torch does not")
    # The one combination of ONNX's that is torch's "nearest".
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
    # N b b C H W -> N C H b W b: the order DCR has the blocks first.
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
    # N C H b W b -> N b b C H W
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
    """Updates placed at rows of indices, or added there, in a copy."""
    how = attributes(node).get("reduction", "none")
    if how not in ("none", "add"):
        raise NotImplementedError(f"{node.name} joins what it scatters by {how}")
    return twin.call(onnx_scatter, *(twin.get(name) for name in node.input), how == "add")


def onnx_scatter(
    data: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, add: bool
) -> torch.Tensor:
    """A copy of data in which data[row] is the update, for each row of indices."""
    rows = [_from_front(indices[..., k], data.shape[k]) for k in range(indices.shape[-1])]
    return data.index_put(tuple(rows), updates.to(data.dtype), accumulate=add)


@twin_of("ScatterElements")
def scatter_elements(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """torch.scatter, or scatter_reduce where elements are joined."""
    values = attributes(node)
    axis, how = int(values.get("axis", 0)), values.get("reduction", "none")
    if how not in _JOINS:
        raise NotImplementedError(f"{node.name} joins what it scatters by {how}")
    return twin.call(put_elements, *(twin.get(name) for name in node.input), axis, _JOINS[how])


_JOINS = {"none": "", "add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def put_elements(
    data: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, axis: int, how: str
) -> torch.Tensor:
    """A copy of data with an update at each index along an axis."""
    places = _from_front(indices, data.shape[axis])
    if how:
        return data.scatter_reduce(axis, places, updates.to(data.dtype), how)
    return data.scatter(axis, places, updates.to(data.dtype))


@twin_of("ConstantOfShape")
def filled(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """A constant, on the module's device."""
    value = attributes(node).get("value")
    number = onnx.numpy_helper.to_array(value) if value is not None else np.zeros(1, np.float32)
    shape = twin.ints(node, 0)
    if shape is not None:
        return twin.constant(np.full(shape, number.reshape(-1)[0]))
    return twin.call(fill, twin.numbers(node, 0), twin.constant(number.reshape(())))


def fill(sizes: list[int], number: torch.Tensor) -> torch.Tensor:
    """A tensor of these sizes, all of one number."""
    return number.expand(sizes)


_SAMPLING = {"linear": "bilinear", "cubic": "bicubic"}
"""What torch calls ONNX's modes of GridSample, where it is not the same since opset 20."""


@twin_of("GridSample")
def grid_sample(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """F.grid_sample; x N C H W, places N H W 2."""
    wanted = attributes(node)
    mode = str(wanted.get("mode", "bilinear"))
    return twin.call(
        F.grid_sample,
        twin.get(node.input[0]),
        twin.get(node.input[1]),
        mode=_SAMPLING.get(mode, mode),
        padding_mode=str(wanted.get("padding_mode", "zeros")),
        align_corners=bool(wanted.get("align_corners", 0)),
    )
