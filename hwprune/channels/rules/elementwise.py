"""Elementwise ops: labels pass through one operand and are tied across several."""

from __future__ import annotations

import onnx

from hwprune.channels.atoms import Labels
from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Walk

_UNARY = """
Abs Cast Ceil Celu Clip Cos Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity IsInf
IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Softplus
Softsign Sqrt Swish Tanh ThresholdedRelu
"""
_BROADCASTING = """
Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub Sum
Where Xor
"""
ELEMENTWISE = (*_UNARY.split(), *_BROADCASTING.split())


@rule(*_UNARY.split())
def unary(walk: Walk, node: onnx.NodeProto) -> None:
    """One tensor in, the same labels out; further inputs are scalars (Clip's limits)."""
    walk.give(node.output[0], walk.axes(node.input[0]))


@rule(*_BROADCASTING.split())
def broadcasting(walk: Walk, node: onnx.NodeProto) -> None:
    """Axes line up from the right; axes of size 1 follow the others."""
    names = [name for name in node.input if name]
    rank = max(walk.rank(name) for name in names)
    walk.give(node.output[0], [_joint(walk, node, names, axis - rank) for axis in range(rank)])


def _joint(walk: Walk, node: onnx.NodeProto, names: list[str], axis: int) -> Labels | None:
    """Labels of one output axis (counted from the right), with all operands that have it tied."""
    full = [n for n in names if walk.rank(n) >= -axis and walk.size(n, axis) != 1]
    moving = [n for n in full if n not in walk.static]
    labelled = [labels for n in moving if (labels := walk.axis(n, axis)) is not None]
    if not labelled and moving:
        for name in full:
            if name in walk.static:
                walk.freeze(walk.axis(name, axis), "")
        return None
    # Weights come last: they only matter where some activation is known to carry channels.
    ordered = [walk.axis(n, axis) for n in (*moving, *(n for n in full if n not in moving))]
    if not ordered:
        return None
    for labels in ordered[1:]:
        walk.tie(ordered[0], labels, f"{node.name} joins channels with an axis that is never cut")
    return next((labels for labels in ordered if labels is not None), None)
