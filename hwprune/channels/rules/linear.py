"""Matrix products: what is summed over is read, what is left of a weight is written."""

from __future__ import annotations

import onnx

from hwprune.channels.atoms import Labels
from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Walk, attribute


@rule("Gemm")
def gemm(walk: Walk, node: onnx.NodeProto) -> None:
    """A N K (or K N with transA) times B K M (or M K with transB), plus C -> N M."""
    left, right = int(attribute(node, "transA", 0)), int(attribute(node, "transB", 0))
    rows, inside_a = _pair(walk, node.input[0], flipped=left)
    inside_b, columns = _pair(walk, node.input[1], flipped=right)
    walk.tie(inside_a, inside_b, f"{node.name} also reads what is never cut")
    bias = node.input[2] if len(node.input) > 2 else ""
    # One number is broadcast over all columns.
    if bias and walk.size(bias, -1) != 1:
        walk.tie(walk.axis(bias, -1), columns, f"bias of {node.name}")
    if node.input[1] in walk.computed and not left:
        walk.note_statistics(node, [1])
    _note(walk, node, inside_b, columns)
    walk.give(node.output[0], (rows, columns))


def _pair(walk: Walk, name: str, *, flipped: int) -> tuple[Labels | None, Labels | None]:
    first, second = walk.axis(name, 0), walk.axis(name, 1)
    return (second, first) if flipped else (first, second)


@rule("MatMul")
def matmul(walk: Walk, node: onnx.NodeProto) -> None:
    """... M K times ... K N -> ... M N; leading axes agree, as heads do in attention."""
    a, b = node.input[:2]
    if min(walk.rank(a), walk.rank(b)) < 2:
        walk.freeze_all([a, b], f"{node.name} multiplies a vector")
        return
    walk.tie(walk.axis(a, -1), walk.axis(b, -2), f"{node.name} also reads what is never cut")
    if b in walk.computed:
        walk.note_statistics(node, [walk.rank(a) - 1])
    if b in walk.static:
        _note(walk, node, walk.axis(b, -2), walk.axis(b, -1))
    elif a in walk.static:
        _note(walk, node, walk.axis(a, -1), walk.axis(a, -2))
    rank = max(walk.rank(a), walk.rank(b))
    leading = [_leading(walk, node, axis - rank) for axis in range(rank - 2)]
    walk.give(node.output[0], (*leading, walk.axis(a, -2), walk.axis(b, -1)))


def _leading(walk: Walk, node: onnx.NodeProto, axis: int) -> Labels | None:
    """Labels of a leading axis, counted from the right; an operand of size 1 there follows."""
    full = [n for n in node.input if walk.rank(n) >= -axis and walk.size(n, axis) != 1]
    labels = [walk.axis(name, axis) for name in full]
    for other in labels[1:]:
        walk.tie(labels[0], other, f"{node.name} joins channels with an axis that is never cut")
    return next((found for found in labels if found is not None), None)


@rule("Einsum")
def einsum(walk: Walk, node: onnx.NodeProto) -> None:
    """Every letter is one axis wherever it appears."""
    equation = str(attribute(node, "equation", "")).replace(" ", "")
    inputs, arrow, output = equation.partition("->")
    terms = inputs.split(",")
    # A letter twice in a term is a diagonal, dots are axes without a letter.
    if not arrow or "." in equation or any(len(set(term)) < len(term) for term in terms):
        walk.freeze_all(list(node.input), f"{node.name} multiplies along implied axes")
        return
    found: dict[str, Labels | None] = {}
    for name, term in zip(node.input, terms, strict=True):
        for axis, letter in enumerate(term):
            # Broadcast along the letter, it says nothing of how wide that is.
            if walk.size(name, axis) == 1:
                continue
            labels = walk.axis(name, axis)
            if letter in found:
                walk.tie(found[letter], labels, f"{node.name} joins channels with a rigid axis")
            found[letter] = labels if found.get(letter) is None else found[letter]
    for name, term in zip(node.input, terms, strict=True):
        if name in walk.static:
            for letter in term:
                _note(walk, node, *_roles(found.get(letter), written=letter in output))
    walk.give(node.output[0], [found.get(letter) for letter in output])


def _roles(labels: Labels | None, *, written: bool) -> tuple[Labels | None, Labels | None]:
    return (None, labels) if written else (labels, None)


def _note(walk: Walk, node: onnx.NodeProto, inside: Labels | None, out: Labels | None) -> None:
    """Remember what a layer reads and writes."""
    if inside is not None:
        walk.readers.append((node.name, inside))
    if out is not None:
        walk.writers.append((node.name, out))
