"""Concat, Split, Slice and Pad: channel axes are put together and taken apart."""

from __future__ import annotations

import numpy as np
import onnx

from hwprune.channels.atoms import Labels
from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Literal, Walk, attribute


@rule("Concat")
def concat(walk: Walk, node: onnx.NodeProto) -> None:
    """Labels one after the other along the axis; along the other axes all parts agree."""
    names = list(node.input)
    rank = walk.rank(names[0])
    axis = int(attribute(node, "axis", 0)) % max(1, rank)
    moving = [name for name in names if name not in walk.static]
    # A list of sizes, which `filled` may have to follow.
    if rank == 1:
        walk.lists[node.output[0]] = tuple(names)
    out: list[Labels | None] = []
    for other in range(rank):
        if moving and all(walk.axis(name, other) is None for name in moving):
            # What a weight has there (a class token's place) is no channel either.
            for name in names:
                walk.freeze(walk.axis(name, other), "")
            out.append(None)
            continue
        labels = [walk.axis(name, other) for name in names]
        if other == axis:
            out.append(_row(walk, node, names, labels))
            continue
        for second in labels[1:]:
            walk.tie(labels[0], second, f"{node.name} joins channels with a rigid axis")
        out.append(labels[0])
    walk.give(node.output[0], out)


def _row(
    walk: Walk, node: onnx.NodeProto, names: list[str], labels: list[Labels | None]
) -> Labels | None:
    """The parts as one axis; rigid parts get atoms that stay."""
    if all(part is None for part in labels):
        return None
    sizes = [walk.size(name, int(attribute(node, "axis", 0))) for name in names]
    parts = []
    for part, size in zip(labels, sizes, strict=True):
        if part is None and size is None:
            walk.freeze_all(names, f"{node.name} joins a part of unknown size")
            return None
        if part is None:
            # Rigid channels, such as an image's, keep their places among those that are cut.
            part = walk.atoms.new(size or 0)
            walk.freeze(part, "")
        parts.append(part)
    return np.concatenate(parts)


@rule("Split")
def split(walk: Walk, node: onnx.NodeProto) -> None:
    """Sizes given as a constant follow the cut; equal parts by count stay whole."""
    labels = list(walk.axes(node.input[0]))
    axis = int(attribute(node, "axis", 0)) % max(1, len(labels))
    whole, sizes = labels[axis], walk.constant(node, 1)
    if whole is not None and sizes is None:
        walk.freeze(whole, f"{node.name} splits channels into equal parts")
        whole = None
    start = 0
    for position, name in enumerate(node.output):
        part = None
        if whole is not None and sizes is not None:
            part = whole[start : start + int(sizes[position])]
            start += int(sizes[position])
            # A group across the ends of a part would leave its size to the ranking.
            walk.marks.append(part)
            walk.literals.append(Literal(labels=part, initializer=node.input[1], index=position))
        walk.give(name, [*labels[:axis], part, *labels[axis + 1 :]])


@rule("Slice")
def slice_(walk: Walk, node: onnx.NodeProto) -> None:
    """x[start:end:step] along axes; on a channel axis only with step 1 and from the front."""
    labels = list(walk.axes(node.input[0]))
    starts, ends, axes, steps = (walk.constant(node, k) for k in range(1, 5))
    if starts is None or ends is None or (axes is None and len(node.input) > 3 and node.input[3]):
        walk.freeze_all([node.input[0]], f"{node.name} slices at computed places")
        return
    chosen = axes.tolist() if axes is not None else list(range(len(starts)))
    for position, axis in enumerate(chosen):
        whole = labels[axis]
        if whole is None:
            continue
        if steps is not None and int(steps[position]) != 1:
            walk.freeze(whole, f"{node.name} slices channels with a step")
            labels[axis] = None
            continue
        start = _bound(walk, node.input[1], position, whole, int(starts[position]))
        end = _bound(walk, node.input[2], position, whole, int(ends[position]))
        walk.marks.append(whole[start:end])
        labels[axis] = whole[start:end]
    walk.give(node.output[0], labels)


def _bound(walk: Walk, name: str, position: int, whole: Labels, number: int) -> int:
    """A start or end as a place from the front; it counts what lies before it, or after it."""
    if abs(number) > len(whole):
        # As far as there is, however wide the axis.
        return 0 if number < 0 else len(whole)
    place = number if number >= 0 else len(whole) + number
    before = number >= 0
    counted = whole[:place] if before else whole[place:]
    if len(counted):
        sign = 1 if before else -1
        walk.literals.append(Literal(labels=counted, initializer=name, index=position, sign=sign))
    return place


@rule("Pad")
def pad(walk: Walk, node: onnx.NodeProto) -> None:
    """Padding a channel axis (option-A shortcuts) makes constant channels, cut like others."""
    labels = list(walk.axes(node.input[0]))
    pads, rank = walk.constant(node, 1), len(labels)
    if pads is None or (len(node.input) > 3 and node.input[3]):
        walk.freeze_all([node.input[0]], f"{node.name} pads computed axes")
        return
    constant = attribute(node, "mode", "constant") == "constant"
    for axis, whole in enumerate(labels):
        before, after = int(pads[axis]), int(pads[axis + rank])
        if whole is None or (before == 0 and after == 0):
            continue
        # Mirrored channels are copies of others, and a crop says which go.
        if not constant or before < 0 or after < 0:
            walk.freeze(whole, f"{node.name} mirrors or crops channels")
            labels[axis] = None
            continue
        labels[axis] = _padded(walk, node, axis, whole, before, after, rank)
    walk.give(node.output[0], labels)


def _padded(
    walk: Walk, node: onnx.NodeProto, axis: int, whole: Labels, before: int, after: int, rank: int
) -> Labels:
    left, right = walk.atoms.new(before), walk.atoms.new(after)
    for part, index in ((left, axis), (right, axis + rank)):
        if len(part):
            walk.marks.append(part)
            walk.literals.append(Literal(labels=part, initializer=node.input[1], index=index))
    return np.concatenate([left, whole, right])
