"""The torch module of an ONNX graph: real layers at the paths of their weights, joined by fx."""

from __future__ import annotations

import json
from collections.abc import Sequence
from keyword import iskeyword

import onnx
from torch import fx

from hwprune_device.torch_graph.ops import EMITS
from hwprune_device.torch_graph.twin import Twin
from hwprune_device.values import BUFFERS_KEY, value_shapes


class UnknownOperatorError(ValueError):
    """A node that torch's side has no twin of."""

    def __init__(self, said: str, node: str) -> None:
        self.said = said
        self.node = node
        super().__init__(f"the network cannot be rebuilt in torch: {said} (node '{node}')")


def module_of(model: bytes) -> fx.GraphModule:
    """An ONNX graph as a torch module that computes, trains and moves like any other.

    Args:
        model: ONNX bytes in canonical form, as a trace, a base network or a cut has it.

    Raises:
        UnknownOperatorError: the graph has an op that torch's side does not know.
    """
    proto = onnx.load_model_from_string(model)
    buffers = {p.key: p.value for p in proto.metadata_props}.get(BUFFERS_KEY, "[]")
    shapes = value_shapes(proto)
    twin = Twin(proto.graph, set(json.loads(buffers)), {k: len(v) for k, v in shapes.items()})
    inputs = [value.name for value in proto.graph.input]
    for name, argument in zip(inputs, _arguments(inputs), strict=True):
        twin.set(name, twin.fx.placeholder(argument))
    for node in proto.graph.node:
        _emit(twin, node)
    outputs = [twin.get(value.name) for value in proto.graph.output]
    twin.fx.output(outputs[0] if len(outputs) == 1 else tuple(outputs))
    return fx.GraphModule(twin.root, twin.fx).eval()


def _emit(twin: Twin, node: onnx.NodeProto) -> None:
    emit = EMITS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    try:
        if emit is None:
            raise NotImplementedError(f"op {node.op_type}")
        result = emit(twin, node)
    except NotImplementedError as error:
        raise UnknownOperatorError(str(error), node.name) from error
    for name, value in zip(
        node.output, result if isinstance(result, tuple) else (result,), strict=False
    ):
        twin.set(name, value)


def _arguments(names: Sequence[str]) -> Sequence[str]:
    """What forward calls the inputs: their own names, where all of them can be arguments."""
    usable = all(n.isidentifier() and not iskeyword(n) and n != "self" for n in names)
    return names if usable else [f"input_{position}" for position in range(len(names))]
