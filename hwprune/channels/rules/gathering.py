"""Ops that pick, repeat or move elements: embeddings, resized maps, depth turned into space."""

from __future__ import annotations

import numpy as np
import onnx

from hwprune.channels.atoms import Labels
from hwprune.channels.rules.convolution import freeze_places
from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Literal, Walk, attribute


@rule("Gather")
def gather(walk: Walk, node: onnx.NodeProto) -> None:
    """Data picked by indices along an axis, which stays whole; the other axes pass."""
    data, indices = node.input[:2]
    labels = list(walk.axes(data))
    axis = int(attribute(node, "axis", 0)) % max(1, len(labels))
    walk.freeze(labels[axis], f"{node.name} picks channels by number")
    picked = (None,) * walk.rank(indices)
    walk.give(node.output[0], (*labels[:axis], *picked, *labels[axis + 1 :]))


@rule("Expand")
def expand(walk: Walk, node: onnx.NodeProto) -> None:
    """Axes of size 1 grow, the others pass; a size written in the target follows the cut.

    So does the size of what has grown, where it is joined with channels (as a head is that many
    heads of queries share).
    """
    data, result, target = node.input[0], node.output[0], walk.constant(node, 1)
    known = walk.axes(data)
    labels: list[Labels | None] = [None] * (walk.rank(result) - len(known))
    labels += [
        name if walk.size(data, axis) == walk.size(result, axis) else None
        for axis, name in enumerate(known, start=-len(known))
    ]
    if target is not None:
        for axis in range(-len(known), 0):
            size = walk.size(result, axis) or 1
            if walk.size(data, axis) == 1 and size > 1:
                labels[axis] = walk.atoms.new(size)
        _count(walk, node, 1, labels[-len(target) :], target)
    elif node.input[1] != f"{node.name}/shape":
        # A shape of the canonical form writes 1 for all axes but the batch.
        for found in labels:
            walk.freeze(found, f"{node.name} expands to a computed shape")
    walk.give(result, labels)


@rule("Tile")
def tile(walk: Walk, node: onnx.NodeProto) -> None:
    """Repeated channels recur in the result."""
    labels, repeats = walk.axes(node.input[0]), walk.constant(node, 1)
    if repeats is None:
        walk.freeze_all([node.input[0]], f"{node.name} computes its repeats")
        return
    walk.give(
        node.output[0],
        [
            None if name is None else np.tile(name, int(times))
            for name, times in zip(labels, repeats, strict=True)
        ],
    )


@rule("Resize", "Upsample")
def resize(walk: Walk, node: onnx.NodeProto) -> None:
    """Height and width change; a size written for the channels follows the cut."""
    labels = list(walk.axes(node.input[0]))
    axes = attribute(node, "axes", None) or range(len(labels))
    sizes = walk.constant(node, 3)
    if len(node.input) > 3 and node.input[3]:
        along = [labels[axis] for axis in axes]
        if sizes is not None:
            _count(walk, node, 3, along, sizes)
        for name in along if sizes is None else ():
            walk.freeze(name, f"{node.name} computes its sizes")
    for axis in range(2, len(labels)):
        walk.freeze(labels[axis], f"{node.name} resizes channels")
        labels[axis] = None
    walk.give(node.output[0], labels)


def _count(
    walk: Walk,
    node: onnx.NodeProto,
    position: int,
    labels: list[Labels | None],
    written: np.ndarray,
) -> None:
    """Sizes of channel axes in a constant follow the cut; 1 and below say nothing of them."""
    for index, (name, number) in enumerate(zip(labels, written, strict=True)):
        if name is not None and number > 1:
            walk.literals.append(
                Literal(labels=name, initializer=node.input[position], index=index)
            )


@rule("DepthToSpace")
def depth_to_space(walk: Walk, node: onnx.NodeProto) -> None:
    """N C*b*b H W -> N C H*b W*b: the b*b channels that make one go together."""
    labels = walk.axes(node.input[0])
    freeze_places(walk, node)
    block = int(attribute(node, "blocksize", 1))
    whole = labels[1]
    out = None
    if whole is not None:
        # CRD: the b*b channels of one lie side by side; DCR: C apart.
        first = attribute(node, "mode", "DCR") == "CRD"
        grid = whole.reshape(-1, block**2) if first else whole.reshape(block**2, -1).T
        walk.atoms.tie_rows(grid)
        out = grid[:, 0]
    walk.give(node.output[0], (labels[0], out, None, None))


@rule("SpaceToDepth")
def space_to_depth(walk: Walk, node: onnx.NodeProto) -> None:
    """N C H W -> N b*b*C H/b W/b: every channel recurs b*b times."""
    labels = walk.axes(node.input[0])
    freeze_places(walk, node)
    times = int(attribute(node, "blocksize", 1)) ** 2
    out = None if labels[1] is None else np.tile(labels[1], times)
    walk.give(node.output[0], (labels[0], out, None, None))


@rule("GridSample", "RoiAlign")
def sample(walk: Walk, node: onnx.NodeProto) -> None:
    """x N C H W, sampled at given places: channels pass."""
    freeze_places(walk, node)
    walk.give(node.output[0], (None, walk.axis(node.input[0], 1), None, None))


@rule("ConstantOfShape")
def filled(walk: Walk, node: onnx.NodeProto) -> None:
    """One number everywhere, as in a state that starts with zeros: each written size can follow.

    The sizes are a constant, or a Concat of constants and the batch that nothing else reads.
    """
    name, result = node.input[0], node.output[0]
    if name in walk.filled:
        walk.give(result, walk.filled[name])
        return
    parts = walk.lists.get(name, ())
    # A number that something else reads too cannot follow this cut alone.
    alone = all(reader.op_type == "ConstantOfShape" for reader in walk.consumers[name])
    labels: list[Labels | None] = []
    for axis in range(walk.rank(result)):
        size, source, index = walk.size(result, axis) or 1, "", 0
        if name in walk.constants:
            source, index = name, axis
        elif alone and len(parts) == walk.rank(result):
            source = parts[axis]
        follows = size > 1 and source in walk.constants
        labels.append(walk.atoms.new(size) if follows else None)
        found = labels[-1]
        if found is not None:
            walk.literals.append(Literal(labels=found, initializer=source, index=index))
    # Fills of one list of sizes have one width, because the numbers in it are the same.
    walk.filled[name] = tuple(labels)
    walk.give(result, labels)


@rule("Range")
def counted(walk: Walk, node: onnx.NodeProto) -> None:
    """Values that no channel has a part in."""
    walk.give(node.output[0], (None,) * walk.rank(node.output[0]))


@rule("ArgMax", "ArgMin", "TopK")
def ranked(walk: Walk, node: onnx.NodeProto) -> None:
    """Compares along an axis, which stays whole."""
    labels = list(walk.axes(node.input[0]))
    default = -1 if node.op_type == "TopK" else 0
    axis = int(attribute(node, "axis", default)) % max(1, len(labels))
    walk.freeze(labels[axis], f"{node.name} compares channels")
    labels[axis] = None
    if node.op_type != "TopK" and not attribute(node, "keepdims", 1):
        del labels[axis]
    for name in node.output:
        walk.give(name, labels)
