"""Convolutions: input channels are read by weight axis 1, output channels written by axis 0."""

from __future__ import annotations

import numpy as np
import onnx

from hwprune.channels.atoms import Labels, units_by_row
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
    # A kernel made by a formula (w + 1) is not zero where its weights are silenced.
    if weight in walk.computed:
        walk.note_statistics(node, [1])
    walk.freeze(walk.axis(data, 0), f"{node.name} takes channels for a batch")
    read = walk.axis(data, 1)
    if int(attribute(node, "group", 1)) == 1:
        inside = walk.axis(weight, 1)
        walk.tie(read, inside, f"{node.name} also reads what is never cut")
        walk.readers.append((node.name, inside if inside is not None else out))
    else:
        _grouped(walk, node, read, out, written=False)
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
    if weight in walk.computed:
        walk.note_statistics(node, [1])
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
        _grouped(walk, node, read, out, written=True)
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


def _grouped(
    walk: Walk, node: onnx.NodeProto, read: Labels | None, out: Labels, *, written: bool
) -> None:
    """Whole groups go, or as many channels of every group: what leaves more units to choose from.

    Depthwise convolution is the case of one input channel a group.

    Args:
        written: whether axis 1 of the weight is what a group writes (as in a transposed
            convolution), or what it reads.
    """
    groups = int(attribute(node, "group", 1))
    if len(out) % groups or (read is not None and len(read) % groups):
        for labels in (read, out):
            walk.freeze(labels, f"{node.name} has groups of unequal size")
        return
    if read is None or _is_finer_inside(walk, read, out, groups):
        inside = [(out, written)] if read is None else [(out, written), (read, not written)]
        for labels, is_weight_axis in inside:
            grid = labels.reshape(groups, -1)
            walk.atoms.tie_rows(grid.T)
            if is_weight_axis:
                # Axis 1 of the weight is as wide as one group; one row stands for all.
                walk.tie(grid[0], walk.axis(node.input[1], 1), "")
    else:
        for labels in (read, out):
            walk.atoms.tie_rows(labels.reshape(groups, -1))
        walk.atoms.tie(read.reshape(groups, -1)[:, 0], out.reshape(groups, -1)[:, 0])
        # Whole groups go, so `group` is what is left of the input divided by the channels of one.
        size = len(read) // groups
        walk.literals.append(Literal(labels=read, node=node.name, attribute="group", divisor=size))
    if read is not None:
        walk.readers.append((node.name, read))


def _is_finer_inside(walk: Walk, read: Labels, out: Labels, groups: int) -> bool:
    """Whether more units are left when all groups lose the same channels than by whole groups."""
    # Depthwise: inside a group there is one channel, and nothing to choose from.
    if groups in (1, len(read), len(out)):
        return False
    root = walk.atoms.components()
    grids = [root[labels].reshape(groups, -1) for labels in (read, out)]
    whole = units_by_row(np.concatenate(grids, axis=1))
    return min(units_by_row(grid.T) for grid in grids) > whole
