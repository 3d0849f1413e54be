"""Normalisations and softmax."""

from __future__ import annotations

import onnx

from hwprune.channels.rules.convolution import freeze_places
from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Literal, Walk, attribute


@rule("BatchNormalization", "InstanceNormalization")
def per_channel(walk: Walk, node: onnx.NodeProto) -> None:
    """x N C ..., and scale, bias, mean, variance of size C; each channel by itself.

    Group norm of one group is an instance norm of one channel over all: their statistics are those
    of the channels that stay.
    """
    labels = walk.axes(node.input[0])
    if node.op_type == "InstanceNormalization":
        walk.note_statistics(node, range(2, len(labels)))
    for name in node.input[1:]:
        walk.tie(labels[1], walk.axis(name, 0), f"input of {node.name}")
    if labels[1] is not None:
        walk.writers.append((node.name, labels[1]))
    walk.give(node.output[0], labels)


@rule("LayerNormalization")
def over_channels(walk: Walk, node: onnx.NodeProto) -> None:
    """x ... C, scale and bias C: mean and variance are those of the channels that stay.

    So a removed channel is not a silenced one: the others are normalised anew, as they are in a
    module that is built with fewer channels.
    """
    labels = walk.axes(node.input[0])
    # Mean and deviation as outputs of their own would change with a cut.
    if sum(1 for name in node.output if name) > 1:
        walk.freeze_all([node.input[0]], f"{node.name} gives its statistics")
    first = int(attribute(node, "axis", -1)) % max(1, len(labels))
    for axis in range(first - len(labels), 0):
        for name in node.input[1:]:
            if name and walk.rank(name) >= -axis and walk.size(name, axis) != 1:
                walk.tie(labels[axis], walk.axis(name, axis), f"input of {node.name}")
        if (found := labels[axis]) is not None:
            walk.writers.append((node.name, found))
    walk.note_statistics(node, range(first, len(labels)))
    walk.give(node.output[0], labels)


@rule("GroupNormalization")
def in_groups(walk: Walk, node: onnx.NodeProto) -> None:
    """x N C ..., scale and bias C: whole groups go; of one group, those that stay count."""
    labels, groups = walk.axes(node.input[0]), int(attribute(node, "num_groups", 1))
    freeze_places(walk, node)
    whole = labels[1]
    for name in node.input[1:]:
        walk.tie(whole, walk.axis(name, 0), f"input of {node.name}")
    if whole is not None:
        walk.writers.append((node.name, whole))
    if groups == 1:
        walk.note_statistics(node, [1])
    elif whole is not None:
        walk.atoms.tie_rows(whole.reshape(groups, -1))
        # Whole groups go, so that each of those left has the statistics that it had.
        size = len(whole) // groups
        walk.literals.append(
            Literal(labels=whole, node=node.name, attribute="num_groups", divisor=size)
        )
    walk.give(node.output[0], labels)


@rule("Softmax", "LogSoftmax", "LpNormalization", "Hardmax", "CumSum")
def along_axis(walk: Walk, node: onnx.NodeProto) -> None:
    """Mixes one axis: it stays whole, the others pass."""
    labels = list(walk.axes(node.input[0]))
    given = walk.constant(node, 1)
    axis = int(given) if given is not None else int(attribute(node, "axis", -1))
    axis %= max(1, len(labels))
    walk.freeze(labels[axis], f"{node.name} mixes all its channels")
    labels[axis] = None
    walk.give(node.output[0], labels)
