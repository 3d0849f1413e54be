"""Pooling and reductions: spatial axes shrink, channels pass."""

from __future__ import annotations

import onnx

from hwprune.channels.atoms import Labels
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


_SUMS = ("ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare")
"""To these a channel that is not there is a channel of zeros."""


@rule("ReduceMean", "ReduceMax", "ReduceMin", *_SUMS)
def reduce(walk: Walk, node: onnx.NodeProto) -> None:
    """Reduced axes lose their labels; a mean or an extreme over channels keeps them whole."""
    labels = walk.axes(node.input[0])
    given = walk.constant(node, 1)
    axes = given.tolist() if given is not None else attribute(node, "axes", None)
    if len(node.input) > 1 and node.input[1] and given is None:
        walk.freeze_all([node.input[0]], f"{node.name} computes its axes")
        return
    if axes is None:
        axes = [] if attribute(node, "noop_with_empty_axes", 0) else range(len(labels))
    reduced = {int(axis) % max(1, len(labels)) for axis in axes}
    kept: list[Labels | None] = []
    for axis, name in enumerate(labels):
        if axis not in reduced:
            kept.append(name)
            continue
        if node.op_type not in _SUMS:
            walk.freeze(name, f"{node.name} reduces over channels")
        if attribute(node, "keepdims", 1):
            kept.append(None)
    walk.give(node.output[0], kept)
