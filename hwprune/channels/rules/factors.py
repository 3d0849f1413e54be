"""Finds which factor of a split axis is the channel, by what becomes of the factors.

A reshape of C channels to (a, b) can be cut along a or along b, not along both. Channel shuffles,
attention heads and group norms all look alike there, and differ in what comes after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx

from hwprune.channels.atoms import Labels, units_by_row
from hwprune.channels.rules.blocks import blocks
from hwprune.channels.rules.elementwise import ELEMENTWISE
from hwprune.channels.walk import Walk, attribute

_FAR = 64
"""Nodes that are looked at after a reshape."""
Places = dict[int, int]
"""Factor to the axis where it is now."""


def channel_factor(walk: Walk, value: str, whole: Labels, axes: Sequence[int]) -> int:
    """The axis of a value that is cut, among the factors `axes` of an axis with labels `whole`.

    Factors that are taken apart, reduced or multiplied away are no channels; nor is the last axis
    of a product of two computed matrices where another factor is left, so attention is cut by
    heads. Of those that are left, the one with the most units is.
    """
    out: set[int] = set()
    waiting: list[tuple[str, Places]] = [(value, {axis: axis for axis in axes})]
    for _ in range(_FAR):
        if not waiting:
            break
        # Breadth first: what is near the reshape decides, within the limit of nodes.
        name, places = waiting.pop(0)
        for node in walk.consumers.get(name, ()):
            if node.op_type == "InstanceNormalization":
                # Group norm: whole groups go, so that those left are normalised as before.
                groups = [factor for factor, axis in places.items() if axis == 1]
                if groups:
                    return groups[0]
            step = _STEPS.get(node.op_type, _ends)
            moved = step(walk, node, name, places, out)
            waiting += [(result, moved) for result in node.output if moved and result]
    left = [axis for axis in axes if axis not in out] or list(axes)
    sizes = [walk.size(value, axis) or 0 for axis in axes]
    grid = walk.atoms.components()[whole].reshape(sizes)
    return max(left, key=lambda axis: units_by_row(np.moveaxis(grid, list(axes).index(axis), 0)))


Step = Callable[[Walk, onnx.NodeProto, str, Places, set[int]], Places]
"""Where the factors are after a node; adds those that are no channels to the set."""


def _ends(walk: Walk, node: onnx.NodeProto, name: str, places: Places, out: set[int]) -> Places:
    return {}


def _stays(walk: Walk, node: onnx.NodeProto, name: str, places: Places, out: set[int]) -> Places:
    shift = walk.rank(node.output[0]) - walk.rank(name)
    return {factor: axis + shift for factor, axis in places.items()}


def _transposes(
    walk: Walk, node: onnx.NodeProto, name: str, places: Places, out: set[int]
) -> Places:
    # Without perm ONNX turns the axes round.
    order = list(attribute(node, "perm", None) or range(walk.rank(name))[::-1])
    return {factor: order.index(axis) for factor, axis in places.items()}


def _takes_apart(
    walk: Walk, node: onnx.NodeProto, name: str, places: Places, out: set[int]
) -> Places:
    """Split, Gather, reductions, softmax: the axis they work along is no channel."""
    rank = walk.rank(name)
    axes = {int(axis) % rank for axis in _worked_axes(walk, node)}
    out.update(factor for factor, axis in places.items() if axis in axes)
    gone = sorted(axes) if walk.rank(node.output[0]) < rank else []
    return {
        factor: axis - sum(other < axis for other in gone)
        for factor, axis in places.items()
        if axis not in axes
    }


def _worked_axes(walk: Walk, node: onnx.NodeProto) -> list[int]:
    positions = {"Slice": 3, "Squeeze": 1, "Gather": None, "Split": None}
    position = positions.get(node.op_type, 1)
    given = walk.constant(node, position) if position is not None else None
    if given is not None:
        return [int(axis) for axis in given.reshape(-1)]
    default = 0 if node.op_type in ("Gather", "Split") else -1
    axes = attribute(node, "axes", None) or [attribute(node, "axis", default)]
    return [int(axis) for axis in axes]


def _unsqueezes(
    walk: Walk, node: onnx.NodeProto, name: str, places: Places, out: set[int]
) -> Places:
    given = walk.constant(node, 1)
    if given is None:
        return {}
    rank = walk.rank(node.output[0])
    new = {int(axis) % rank for axis in given.reshape(-1)}
    old = [axis for axis in range(rank) if axis not in new]
    return {factor: old[axis] for factor, axis in places.items()}


def _reshapes(
    walk: Walk, node: onnx.NodeProto, name: str, places: Places, out: set[int]
) -> Places:
    """A factor that stays an axis is followed; one that is merged or split is lost sight of."""
    before, after = walk.shapes[name], walk.shapes[node.output[0]]
    if not all(isinstance(size, int) for size in (*before, *after)):
        return {}
    moved = {}
    for sources, targets in blocks([int(size) for size in before], [int(size) for size in after]):
        wide = [axis for axis in sources if before[axis] != 1]
        narrow = [axis for axis in targets if after[axis] != 1]
        for factor, axis in places.items():
            if wide == [axis] and len(narrow) == 1:
                moved[factor] = narrow[0]
    return moved


def _multiplies(
    walk: Walk, node: onnx.NodeProto, name: str, places: Places, out: set[int]
) -> Places:
    last = walk.rank(name) - 2
    out.update(factor for factor, axis in places.items() if axis >= last)
    kept = {factor: axis for factor, axis in places.items() if axis < last}
    return _stays(walk, node, name, kept, out) if kept else {}


def _by_letter(
    walk: Walk, node: onnx.NodeProto, name: str, places: Places, out: set[int]
) -> Places:
    """Einsum: of computed operands, only a letter that is in all of them and in the result."""
    equation = str(attribute(node, "equation", "")).replace(" ", "")
    inputs, _, output = equation.partition("->")
    terms = inputs.split(",")
    own = terms[list(node.input).index(name)]
    others = [t for t, n in zip(terms, node.input, strict=True) if n not in walk.static]
    shared = [c for c in own if c in output and all(c in term for term in others)]
    out.update(factor for factor, axis in places.items() if own[axis] not in shared)
    return {f: output.index(own[axis]) for f, axis in places.items() if own[axis] in shared}


_STEPS: dict[str, Step] = {
    **dict.fromkeys((*ELEMENTWISE, "Expand"), _stays),
    **dict.fromkeys(
        ("Slice", "Split", "Gather", "Squeeze", "Softmax", "LogSoftmax"), _takes_apart
    ),
    **dict.fromkeys(
        ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"), _takes_apart
    ),
    "LayerNormalization": _takes_apart,
    "Transpose": _transposes,
    "Unsqueeze": _unsqueezes,
    "MatMul": _multiplies,
    "Reshape": _reshapes,
    "Einsum": _by_letter,
}
