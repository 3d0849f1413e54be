"""Normalisations and softmax."""

from __future__ import annotations

import onnx

from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Walk, attribute


@rule("BatchNormalization", "InstanceNormalization")
def per_channel(walk: Walk, node: onnx.NodeProto) -> None:
    """x N C ..., and scale, bias, mean, variance of size C; each channel by itself."""
    labels = walk.activation(node.input[0])
    for name in node.input[1:]:
        walk.tie(labels[1], walk.axis(name, 0), f"input of {node.name}")
    if labels[1] is not None:
        walk.writers.append((node.name, labels[1]))
    walk.give(node.output[0], labels)


@rule("Softmax", "LogSoftmax", "LpNormalization")
def along_axis(walk: Walk, node: onnx.NodeProto) -> None:
    """Mixes one axis: it stays whole, the others pass."""
    labels = list(walk.activation(node.input[0]))
    axis = int(attribute(node, "axis", -1)) % max(1, len(labels))
    walk.freeze(labels[axis], f"{node.name} mixes all its channels")
    labels[axis] = None
    walk.give(node.output[0], labels)
