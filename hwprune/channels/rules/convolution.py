"""Convolutions: input channels are read by weight axis 1, output channels written by axis 0."""

from __future__ import annotations

import onnx

from hwprune.channels.atoms import Labels
from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Literal, Walk, attribute


@rule("Conv")
def conv(walk: Walk, node: onnx.NodeProto) -> None:
    """x N C ..., W M C/g ..., B M -> N M ..."""
    data, weight = node.input[0], node.input[1]
    out = walk.axis(weight, 0) if weight in walk.static else None
    if out is None:
        walk.freeze_all(list(node.input), f"{node.name} computes its own kernel")
        return
    _tie_bias(walk, node, out)
    freeze_places(walk, node)
    walk.freeze(walk.axis(data, 0), f"{node.name} takes channels for a batch")
    read = walk.axis(data, 1)
    if int(attribute(node, "group", 1)) == 1:
        inside = walk.axis(weight, 1)
        walk.tie(read, inside, f"{node.name} also reads what is never cut")
        walk.readers.append((node.name, inside if inside is not None else out))
    else:
        _grouped(walk, node, read, out)
    walk.writers.append((node.name, out))
    walk.give(node.output[0], (None, out, *(None,) * (walk.rank(weight) - 2)))


@rule("ConvTranspose")
def conv_transpose(walk: Walk, node: onnx.NodeProto) -> None:
    """x N C ..., W C M/g ..., B M -> N M ..."""
    data, weight = node.input[0], node.input[1]
    inside = walk.axis(weight, 0) if weight in walk.static else None
    if inside is None:
        walk.freeze_all(list(node.input), f"{node.name} computes its own kernel")
        return
    freeze_places(walk, node)
    walk.freeze(walk.axis(data, 0), f"{node.name} takes channels for a batch")
    read, groups = walk.axis(data, 1), int(attribute(node, "group", 1))
    walk.tie(read, inside, f"{node.name} also reads what is never cut")
    if groups == 1:
        out = walk.axis(weight, 1)
        assert out is not None
        walk.readers.append((node.name, inside))
    else:
        # The weight has no axis of all output channels: they exist in the bias and the result.
        out = walk.atoms.new(groups * (walk.size(weight, 1) or 0))
        _grouped(walk, node, read, out)
    _tie_bias(walk, node, out)
    walk.writers.append((node.name, out))
    walk.give(node.output[0], (None, out, *(None,) * (walk.rank(weight) - 2)))


def freeze_places(walk: Walk, node: onnx.NodeProto) -> None:
    """Channels that a reshape or transpose put where height or width is: windows span them."""
    for labels in walk.axes(node.input[0])[2:]:
        walk.freeze(labels, f"{node.name} slides over channels")


def _tie_bias(walk: Walk, node: onnx.NodeProto, out: Labels) -> None:
    if len(node.input) > 2 and node.input[2]:
        walk.tie(walk.axis(node.input[2], 0), out, f"bias of {node.name}")


def _grouped(walk: Walk, node: onnx.NodeProto, read: Labels | None, out: Labels) -> None:
    """All channels of one group, in and out, go together: then the kernel keeps its shape.

    Depthwise convolution is the case of one input channel a group.
    """
    groups = int(attribute(node, "group", 1))
    if read is None or len(read) % groups or len(out) % groups:
        walk.freeze(read, f"grouped {node.name} reads the network input")
        walk.freeze(out, f"grouped {node.name} reads what is never cut")
        return
    for labels in (read, out):
        walk.atoms.tie_rows(labels.reshape(groups, -1))
    walk.atoms.tie(read.reshape(groups, -1)[:, 0], out.reshape(groups, -1)[:, 0])
    walk.literals.append(
        Literal(labels=read, node=node.name, attribute="group", divisor=len(read) // groups)
    )
    walk.readers.append((node.name, read))
