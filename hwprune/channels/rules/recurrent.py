"""Recurrent layers: a hidden unit goes with its rows in all gates, of all directions."""

from __future__ import annotations

import onnx

from hwprune.channels.atoms import Labels
from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Literal, Walk, attribute

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_STATES = {"LSTM": slice(1, 3), "GRU": slice(1, 2), "RNN": slice(0, 1)}
"""Of a direction's activations, those that a unit's state goes through."""
_THROUGH_ZERO = {"tanh", "relu", "leakyrelu", "thresholdedrelu", "softsign", "elu", "scaledtanh"}


@rule(*GATES)
def recurrent(walk: Walk, node: onnx.NodeProto) -> None:
    """x T N C, W D G*H C, R D G*H H, B D 2*G*H, states D N H, P D 3*H -> T D N H, D N H each.

    A unit whose gates get nothing but zeros gives zeros, as long as its state starts with them.
    """
    # X, W, R, B, sequence lengths, first h, first c, peepholes; absent ones are empty.
    data, weight, repeated, bias, _, *states = [*node.input, *[""] * 8][:8]
    hidden = _hidden(walk, node)
    if hidden is None:
        return
    read = walk.axis(data, 2)
    inside = walk.axis(weight, 2)
    walk.tie(read, inside, f"{node.name} also reads what is never cut")
    for labels in walk.axes(data)[:2]:
        walk.freeze(labels, f"{node.name} takes channels for steps or a batch")
    for name in (weight, repeated):
        _tie_gates(walk, node, walk.axis(name, 1), hidden)
    for name in (bias, *states[2:]):
        if name:
            _tie_gates(walk, node, walk.axis(name, 1), hidden)
    for name in filter(None, states[:2]):
        walk.tie(walk.axis(name, 2), hidden, f"{node.name} starts from what is never cut")
    walk.literals.append(Literal(labels=hidden, node=node.name, attribute="hidden_size"))
    walk.readers.append((node.name, inside if inside is not None else hidden))
    walk.writers.append((node.name, hidden))
    for name, rank in zip(node.output, (4, 3, 3), strict=False):
        if name:
            walk.give(name, (*(None,) * (rank - 1), hidden))


def _hidden(walk: Walk, node: onnx.NodeProto) -> Labels | None:
    """The hidden units, as the recurrence reads them; None, and all frozen, where they stay."""
    weights = [name for name in node.input[1:4] if name]
    reason = ""
    if not all(name in walk.static for name in weights):
        reason = f"{node.name} computes its own weights"
    elif not walk.computed.isdisjoint(weights):
        reason = f"{node.name} has weights made by a formula"
    elif attribute(node, "layout", 0):
        reason = f"{node.name} has the batch first"
    elif not _keeps_zeros(node):
        reason = f"{node.name} makes something of nothing"
    hidden = walk.axis(node.input[2], 2)
    if reason or hidden is None:
        walk.freeze_all(list(node.input), reason or f"{node.name} has no hidden units")
        return None
    return hidden


def _keeps_zeros(node: onnx.NodeProto) -> bool:
    """Whether a unit that gets zeros gives zeros, by the functions its state goes through."""
    words = [word.decode().lower() for word in attribute(node, "activations", [])]
    # Activations are listed by direction, gates first; without a list they are ONNX's own.
    count = {"LSTM": 3, "GRU": 2, "RNN": 1}[node.op_type]
    directions = [words[start : start + count] for start in range(0, len(words), count)]
    return all(
        _THROUGH_ZERO.issuperset(direction[_STATES[node.op_type]]) for direction in directions
    )


def _tie_gates(walk: Walk, node: onnx.NodeProto, rows: Labels | None, hidden: Labels) -> None:
    """Each gate's rows are the hidden units in order."""
    gates = 0 if rows is None else len(rows) // len(hidden)
    if rows is None or gates * len(hidden) != len(rows):
        walk.tie(rows, hidden, f"{node.name} has gates of unequal size")
        return
    for gate in rows.reshape(gates, -1):
        walk.atoms.tie(gate, hidden)
