"""The registry of torch twins: ONNX op type to the function that adds its fx node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx

from hwprune_device.torch_graph.twin import Twin

Emit = Callable[[Twin, onnx.NodeProto], Any]
"""Adds what computes the node; returns the fx node of its only output, or a tuple of several."""
EMITS: dict[str, Emit] = {}


def twin_of(*op_types: str) -> Callable[[Emit], Emit]:
    """Register a function as the torch twin of these ops."""

    def register(function: Emit) -> Emit:
        for op_type in op_types:
            EMITS[op_type] = function
        return function

    return register
