"""Floats as integers and back: scales and zero points follow the axis that they are of."""

from __future__ import annotations

import onnx

from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Walk, attribute


@rule("QuantizeLinear", "DequantizeLinear")
def quantize(walk: Walk, node: onnx.NodeProto) -> None:
    """Elementwise, with one scale and zero point for all, or one for each index of an axis."""
    labels, scale = walk.axes(node.input[0]), node.input[1]
    if walk.rank(scale) > 1 or attribute(node, "block_size", 0):
        walk.freeze_all(list(node.input), f"{node.name} has scales of blocks of channels")
    elif walk.rank(scale) == 1 and walk.size(scale, 0) != 1:
        along = labels[int(attribute(node, "axis", 1)) % len(labels)]
        for name in node.input[1:]:
            walk.tie(along, walk.axis(name, 0), f"scale of {node.name}")
    walk.give(node.output[0], labels)
