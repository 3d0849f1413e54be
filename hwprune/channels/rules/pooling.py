"""Pooling and reductions: spatial axes shrink, channels pass."""

from __future__ import annotations

import onnx

from hwprune.channels.rules.convolution import freeze_places
from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Walk, attribute


@rule("AveragePool", "MaxPool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def pool(walk: Walk, node: onnx.NodeProto) -> None:
    """x N C ... -> N C ...; a second output (indices) would carry positions, so it stays whole."""
    labels = walk.axes(node.input[0])
    if len(node.output) > 1 and node.output[1]:
        walk.freeze_all([node.input[0]], f"{node.name} gives positions")
    freeze_places(walk, node)
    walk.give(node.output[0], (*labels[:2], *(None,) * (len(labels) - 2)))


_LENGTHS = ("ReduceL1", "ReduceL2", "ReduceSumSquare")


@rule("ReduceMean", "ReduceMax", "ReduceMin")
@rule("ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare")
def reduce(walk: Walk, node: onnx.NodeProto) -> None:
    """Reduced axes lose their labels; what is counted along them are the channels that stay."""
    labels = walk.axes(node.input[0])
    given = walk.constant(node, 1)
    axes = given.reshape(-1).tolist() if given is not None else attribute(node, "axes", None)
    if len(node.input) > 1 and node.input[1] and given is None:
        walk.freeze_all([node.input[0]], f"{node.name} computes its axes")
        return
    if axes is None or not len(axes):
        # Without axes ONNX reduces all of them, unless the attribute says none.
        axes = [] if attribute(node, "noop_with_empty_axes", 0) else range(len(labels))
    reduced = {int(axis) % max(1, len(labels)) for axis in axes}
    if node.input[0] in walk.static and node.op_type in _LENGTHS:
        # What is divided by its length has none where it is silenced.
        for axis in reduced:
            walk.freeze(labels[axis], f"{node.name} takes lengths of a weight over channels")
    else:
        walk.note_statistics(node, sorted(reduced))
    keep = attribute(node, "keepdims", 1)
    walk.give(
        node.output[0],
        [
            None if axis in reduced else name
            for axis, name in enumerate(labels)
            if keep or axis not in reduced
        ],
    )
