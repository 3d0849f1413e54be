"""The registry of propagation rules: ONNX op type to the function that moves labels through it."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from hwprune.channels.walk import Walk
from hwprune_device.subgraphs import reads

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
    """Move labels through a node; an op without rule, or a value without shape, freezes all."""
    known = rule_of(node)
    values = [name for name in (*node.input, *node.output) if name]
    if known is None:
        walk.freeze_all(reads(node), f"no rule for op {node.op_type} ({node.name})")
        return
    if any(name not in walk.shapes for name in values):
        walk.freeze_all(list(node.input), f"{node.name} has a shape that cannot be inferred")
        return
    known(walk, node)
    walk.note_static(node)
