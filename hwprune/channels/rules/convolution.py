"""Convolutions: input channels are read by weight axis 1, output channels written by axis 0."""

from __future__ import annotations

import onnx

from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Literal, Walk, attribute


@rule("Conv")
def conv(walk: Walk, node: onnx.NodeProto) -> None:
    """x N C ..., W M C/g ..., B M -> N M ..."""
    data, weight = node.input[0], node.input[1]
    if weight not in walk.weights:
        walk.freeze_all(list(node.input), f"{node.name} computes its own kernel")
        return
    groups = int(attribute(node, "group", 1))
    out = walk.axis(weight, 0)
    assert out is not None
    if len(node.input) > 2 and node.input[2]:
        walk.tie(walk.axis(node.input[2], 0), out, f"bias of {node.name}")
    read = walk.axis(data, 1)
    if groups == 1:
        inside = walk.axis(weight, 1)
        walk.tie(read, inside, "" if read is None else f"input of {node.name}")
        walk.readers.append((node.name, inside if inside is not None else out))
    else:
        _grouped(walk, node, groups)
        if read is not None:
            walk.readers.append((node.name, read))
    walk.writers.append((node.name, out))
    walk.give(node.output[0], (None, out, *(None,) * (walk.rank(weight) - 2)))


def _grouped(walk: Walk, node: onnx.NodeProto, groups: int) -> None:
    """All channels of one group, in and out, go together: then the kernel keeps its shape.

    Depthwise convolution is the case of one input channel a group.
    """
    read, out = walk.axis(node.input[0], 1), walk.axis(node.input[1], 0)
    assert out is not None
    if read is None or len(read) % groups or len(out) % groups:
        walk.freeze(read, f"grouped {node.name} reads the network input")
        walk.freeze(out, f"grouped {node.name} reads what is never cut")
        return
    for labels in (read, out):
        rows = labels.reshape(groups, -1)
        for column in range(1, rows.shape[1]):
            walk.atoms.tie(rows[:, 0], rows[:, column])
    walk.atoms.tie(read.reshape(groups, -1)[:, 0], out.reshape(groups, -1)[:, 0])
    walk.literals.append(
        Literal(labels=read, node=node.name, attribute="group", divisor=len(read) // groups)
    )


@rule("ConvTranspose")
def conv_transpose(walk: Walk, node: onnx.NodeProto) -> None:
    """x N C ..., W C M/g ..., B M -> N M ...; only without groups."""
    data, weight = node.input[0], node.input[1]
    if weight not in walk.weights or int(attribute(node, "group", 1)) != 1:
        walk.freeze_all(list(node.input), f"grouped transposed convolution {node.name}")
        return
    out, inside = walk.axis(weight, 1), walk.axis(weight, 0)
    assert out is not None and inside is not None
    if len(node.input) > 2 and node.input[2]:
        walk.tie(walk.axis(node.input[2], 0), out, f"bias of {node.name}")
    walk.tie(walk.axis(data, 1), inside, f"input of {node.name}")
    walk.readers.append((node.name, inside))
    walk.writers.append((node.name, out))
    walk.give(node.output[0], (None, out, *(None,) * (walk.rank(weight) - 2)))
