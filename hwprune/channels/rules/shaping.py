"""Reshape, transpose and their kin: labels follow the elements."""

from __future__ import annotations

import math

import numpy as np
import onnx

from hwprune.channels.atoms import Labels
from hwprune.channels.rules.blocks import blocks
from hwprune.channels.rules.factors import channel_factor
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
    """Axes are merged, kept or split; of a split axis of channels one factor is cut."""
    data, target = node.input[0], walk.constant(node, 1)
    before, after = walk.shapes.get(data), walk.shapes.get(node.output[0])
    sized = before and after and all(isinstance(d, int) for d in (*before, *after))
    fits = sized and math.prod(before) == math.prod(after)  # type: ignore[arg-type]
    if not fits or target is None:
        walk.freeze_all([data], f"{node.name} reshapes to a computed shape")
        return
    assert before is not None and after is not None
    labels = walk.axes(data)
    out: list[Labels | None] = [None] * len(after)
    for sources, targets in blocks([int(d) for d in before], [int(d) for d in after]):
        merged = _merge(walk, node, [(int(before[a]), labels[a]) for a in sources])
        wide = [axis for axis in targets if after[axis] != 1]
        if merged is None:
            continue
        if len(wide) == 1:
            out[wide[0]] = merged
        elif wide:
            grid = merged.reshape([int(after[a]) for a in wide])
            axis, out_labels = _split(walk, node, grid, wide)
            out[axis] = out_labels
    _follow(walk, node, target, out)
    walk.give(node.output[0], out)


def _split(walk: Walk, node: onnx.NodeProto, grid: Labels, axes: list[int]) -> tuple[int, Labels]:
    """Of axes that one axis was split into, the one that carries channels, and its labels."""
    varying = [k for k in range(grid.ndim) if (np.diff(grid, axis=k) != 0).any()]
    # Along the other axes (height, width) a channel only repeats.
    flat = tuple(slice(None) if k in varying else 0 for k in range(grid.ndim))
    grid, axes = grid[flat], [axes[k] for k in varying] or axes
    if grid.ndim == 0:
        return axes[0], np.full(walk.size(node.output[0], axes[0]) or 1, int(grid))
    if grid.ndim == 1:
        return axes[0], grid
    axis = channel_factor(walk, node.output[0], grid.reshape(-1), axes)
    return axis, _factor(walk, grid, axes.index(axis))


def _factor(walk: Walk, grid: Labels, axis: int) -> Labels:
    """One factor's labels: what lies along the other factors goes with them."""
    rows = np.moveaxis(grid, axis, 0).reshape(grid.shape[axis], -1)
    walk.atoms.tie_rows(rows)
    return rows[:, 0]


def _merge(
    walk: Walk, node: onnx.NodeProto, axes: list[tuple[int, Labels | None]]
) -> Labels | None:
    """Labels of an axis made by merging axes, row-major: channels repeat or recur.

    Of several axes of channels one is cut: that of which layers write most.
    """
    carrying = {k: labels for k, (_, labels) in enumerate(axes) if labels is not None}
    if not carrying:
        return None
    k = next(iter(carrying))
    if len(carrying) > 1:
        root = walk.atoms.components()
        written = root[np.concatenate([labels for _, labels in walk.writers] or [np.arange(0)])]
        k = max(carrying, key=lambda axis: np.isin(written, root[carrying[axis]]).sum())
        for other in carrying.keys() - {k}:
            walk.freeze(carrying[other], f"{node.name} merges several axes of channels")
    outer = int(np.prod([size for size, _ in axes[:k]], dtype=int))
    inner = int(np.prod([size for size, _ in axes[k + 1 :]], dtype=int))
    labels = axes[k][1]
    assert labels is not None
    # Row-major: axes inside repeat each channel, axes outside repeat the whole row.
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
    labels, shape = walk.axes(node.input[0]), walk.shapes.get(node.input[0], ())
    axis = int(attribute(node, "axis", 1))
    if not shape or not all(isinstance(d, int) for d in shape):
        walk.freeze_all([node.input[0]], f"{node.name} flattens an unknown shape")
        return
    sized = [(int(size), name) for size, name in zip(shape, labels, strict=True)]
    walk.give(node.output[0], (_merge(walk, node, sized[:axis]), _merge(walk, node, sized[axis:])))


@rule("Squeeze", "Unsqueeze")
def squeeze(walk: Walk, node: onnx.NodeProto) -> None:
    """Axes of size 1 come or go; labels keep their order."""
    labels = walk.axes(node.input[0])
    given = walk.constant(node, 1)
    axes = given.reshape(-1).tolist() if given is not None else attribute(node, "axes", None)
    rank = walk.rank(node.output[0])
    if axes is None:
        axes = [a for a in range(len(labels)) if walk.size(node.input[0], a) == 1]
    if not rank:
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
    """A shape that is computed with may count channels, so those it gives stay whole."""
    labels = walk.axes(node.input[0])
    first, last = attribute(node, "start", 0), attribute(node, "end", None)
    for name in labels[first:last]:
        walk.freeze(name, f"{node.name} computes with the number of channels")
