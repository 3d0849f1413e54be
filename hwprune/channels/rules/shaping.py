"""Reshape, transpose and their kin: labels follow the elements."""

from __future__ import annotations

import math

import numpy as np
import onnx

from hwprune.channels.atoms import Labels
from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Literal, Walk, attribute


@rule("Transpose")
def transpose(walk: Walk, node: onnx.NodeProto) -> None:
    """Axes change places, of a weight too."""
    name = node.input[0]
    rank = walk.rank(name)
    order = attribute(node, "perm", None) or list(range(rank))[::-1]
    walk.give(node.output[0], [walk.axis(name, int(axis)) for axis in order])


@rule("Reshape")
def reshape(walk: Walk, node: onnx.NodeProto) -> None:
    """Axes are merged or kept; an axis of channels that is split stays whole."""
    data, target = node.input[0], walk.constant(node, 1)
    before, after = walk.shapes.get(data), walk.shapes.get(node.output[0])
    sized = before and after and all(isinstance(d, int) for d in (*before, *after))
    fits = sized and math.prod(before) == math.prod(after)  # type: ignore[arg-type]
    if not fits or target is None or data in walk.weights:
        walk.freeze_all([data], f"{node.name} reshapes to a computed shape")
        return
    assert before is not None and after is not None
    labels = walk.activation(data)
    out: list[Labels | None] = [None] * len(after)
    for sources, targets in _blocks([int(d) for d in before], [int(d) for d in after]):
        merged = _merge(walk, node, [(int(before[a]), labels[a]) for a in sources])
        wide = [axis for axis in targets if after[axis] != 1]
        if len(wide) == 1 and merged is not None:
            out[wide[0]] = merged
        elif merged is not None:
            walk.freeze(merged, f"{node.name} splits channels over several axes")
    _follow(walk, node, target, out)
    walk.give(node.output[0], out)


def _blocks(before: list[int], after: list[int]) -> list[tuple[list[int], list[int]]]:
    """Smallest runs of axes before and after that hold the same number of elements."""
    blocks, i, j = [], 0, 0
    while i < len(before) or j < len(after):
        sources: list[int] = []
        targets: list[int] = []
        left = right = 1
        while not (sources or targets) or left != right:
            if (left <= right and i < len(before)) or j >= len(after):
                left *= before[i]
                sources.append(i)
                i += 1
            else:
                right *= after[j]
                targets.append(j)
                j += 1
        if sources and not targets and j < len(after) and after[j] == before[sources[-1]] == 1:
            targets.append(j)
            j += 1
        blocks.append((sources, targets))
    return blocks


def _merge(
    walk: Walk, node: onnx.NodeProto, axes: list[tuple[int, Labels | None]]
) -> Labels | None:
    """Labels of an axis made by merging axes, row-major: channels repeat or recur."""
    carrying = [k for k, (_, labels) in enumerate(axes) if labels is not None]
    if len(carrying) != 1:
        for k in carrying:
            walk.freeze(axes[k][1], f"{node.name} merges several axes of channels")
        return None
    k = carrying[0]
    outer = int(np.prod([size for size, _ in axes[:k]], dtype=int))
    inner = int(np.prod([size for size, _ in axes[k + 1 :]], dtype=int))
    labels = axes[k][1]
    assert labels is not None
    return np.tile(np.repeat(labels, inner), outer)


def _follow(
    walk: Walk, node: onnx.NodeProto, target: np.ndarray, out: list[Labels | None]
) -> None:
    """Sizes written out in the target shape follow the cut; 0 and -1 do by themselves."""
    for axis, labels in enumerate(out):
        if labels is not None and target[axis] > 0:
            walk.literals.append(Literal(labels=labels, initializer=node.input[1], index=axis))


@rule("Flatten")
def flatten(walk: Walk, node: onnx.NodeProto) -> None:
    """x N C H W -> N C*H*W (axis 1)."""
    labels, shape = walk.activation(node.input[0]), walk.shapes.get(node.input[0], ())
    axis = int(attribute(node, "axis", 1))
    if not shape or not all(isinstance(d, int) for d in shape):
        walk.freeze_all([node.input[0]], f"{node.name} flattens an unknown shape")
        return
    sized = [(int(size), name) for size, name in zip(shape, labels, strict=True)]
    walk.give(node.output[0], (_merge(walk, node, sized[:axis]), _merge(walk, node, sized[axis:])))


@rule("Squeeze", "Unsqueeze")
def squeeze(walk: Walk, node: onnx.NodeProto) -> None:
    """Axes of size 1 come or go; labels keep their order."""
    labels = walk.activation(node.input[0])
    given = walk.constant(node, 1)
    axes = given.tolist() if given is not None else attribute(node, "axes", None)
    rank = walk.rank(node.output[0])
    if axes is None or not rank or node.input[0] in walk.weights:
        walk.freeze_all([node.input[0]], f"{node.name} has computed axes")
        return
    if node.op_type == "Squeeze":
        gone = {int(a) % len(labels) for a in axes}
        walk.give(node.output[0], [name for a, name in enumerate(labels) if a not in gone])
        return
    new, old = {int(a) % rank for a in axes}, iter(labels)
    walk.give(node.output[0], [None if a in new else next(old) for a in range(rank)])


@rule("Shape", "Size")
def shape(walk: Walk, node: onnx.NodeProto) -> None:
    """A shape that is computed with may count channels, so those it tells stay whole."""
    labels = walk.activation(node.input[0])
    first, last = attribute(node, "start", 0), attribute(node, "end", None)
    for name in labels[first:last]:
        walk.freeze(name, f"{node.name} computes with the number of channels")
