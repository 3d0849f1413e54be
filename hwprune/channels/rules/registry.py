"""The registry of propagation rules: ONNX op type to the function that moves labels through it."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from hwprune.channels.walk import Walk
from hwprune_device.subgraphs import inner_graphs, reads

Rule = Callable[[Walk, onnx.NodeProto], None]
RULES: dict[str, Rule] = {}


def rule(*op_types: str) -> Callable[[Rule], Rule]:
    """Register a function as the rule of these ops."""

    def register(function: Rule) -> Rule:
        for op_type in op_types:
            RULES[op_type] = function
        return function

    return register


def rule_of(node: onnx.NodeProto) -> Rule | None:
    """The rule of a node's op; None for an op without one, and for one of a foreign domain."""
    return RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None


def apply_rule(walk: Walk, node: onnx.NodeProto) -> None:
    """Move labels through a node; an op without rule, or a value without shape, freezes all.

    So does an input whose labels a rule never reads (places to sample at, indices), and what
    the graphs inside a node (branches, loops) take from outside.
    """
    known = rule_of(node)
    values = [name for name in (*node.input, *node.output) if name]
    if known is None:
        _leave(walk, node, f"no rule for op {node.op_type} ({node.name}){_advice(node)}")
        return
    if any(name not in walk.shapes for name in values):
        _leave(walk, node, f"{node.name} has a shape that cannot be inferred")
        return
    # Of this node alone: an input that its rule passes over is frozen below.
    walk.asked.clear()
    known(walk, node)
    walk.note_static(node)
    unread = [name for name in node.input if name in walk.labels and name not in walk.asked]
    walk.freeze_all(unread, f"{node.name} takes channels for something else")


_INTEGERS = ("QLinear", "QGemm", "QAttention", "ConvInteger", "MatMulInteger", "DynamicQuantize")
"""How names of ops begin that compute in integers."""


def _advice(node: onnx.NodeProto) -> str:
    """How to come by a file that has the op as ONNX writes it."""
    if node.op_type.startswith(_INTEGERS):
        return (
            ": it computes in integers; give the float network, or one quantised with "
            "QuantizeLinear and DequantizeLinear (QuantFormat.QDQ)"
        )
    if node.domain.startswith("com.microsoft"):
        return (
            ": it comes from ONNX Runtime's optimiser; export the network without it, or save it "
            "with SessionOptions.graph_optimization_level = ORT_DISABLE_ALL"
        )
    return ""


def _leave(walk: Walk, node: onnx.NodeProto, reason: str) -> None:
    """Freeze all that a node reads, and name the layers that it holds."""
    walk.freeze_all(reads(node), reason)
    held = (n for n in node.input if n in walk.weights or n in walk.constants)
    if any(walk.rank(name) > 1 for name in held):
        walk.left.append((node.name, reason))
    _name_inner(walk, node, f"is inside {node.op_type} ({node.name})")


def _name_inner(walk: Walk, node: onnx.NodeProto, reason: str) -> None:
    for graph in inner_graphs(node):
        own = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 1}
        for inner in graph.node:
            weights = (
                n for n in inner.input if n in own or (walk.rank(n) > 1 and n in walk.weights)
            )
            weight = next(weights, None)
            if weight is not None:
                walk.left.append((inner.name or weight.replace(".", "/"), reason))
            _name_inner(walk, inner, reason)
