"""The tensors of a graph: their names and types, who reads them, and those that never change."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

NO_TENSOR = -1
"""In place of an element type: a sequence, a map or an optional value."""


class Names:
    """Names of a graph, and new ones beside them."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def fresh(self, name: str) -> str:
        """This name, or one like it that nothing has."""
        made, count = name, 1
        while made in self._taken:
            count += 1
            made = f"{name}_{count}"
        self._taken.add(made)
        return made


def element_types(graph: GraphProto) -> dict[str, int]:
    """Element types by tensor, as far as the graph has them."""
    types = {}
    for entry in (*graph.value_info, *graph.input, *graph.output):
        if entry.type.HasField("tensor_type"):
            types[entry.name] = entry.type.tensor_type.elem_type
        elif entry.type.WhichOneof("value") is not None:
            types[entry.name] = NO_TENSOR
    types |= {entry.values.name: entry.values.data_type for entry in graph.sparse_initializer}
    return types | {entry.name: entry.data_type for entry in graph.initializer}


def constants(graph: GraphProto) -> dict[str, np.ndarray]:
    """The float32 tensors that never change: initializers that are no inputs, and Constants."""
    inputs = {entry.name for entry in graph.input}
    found = {
        entry.name: numpy_helper.to_array(entry)
        for entry in graph.initializer
        # An initializer that is an input too is a default, which a caller may replace.
        if entry.data_type == TensorProto.FLOAT and entry.name not in inputs
    }
    for node in graph.node:
        if node.op_type == "Constant" and (value := constant_value(node)) is not None:
            found[node.output[0]] = value
    return found


def constant_value(node: NodeProto) -> np.ndarray | None:
    """What a Constant or a ConstantOfShape holds, if that is float32."""
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if attribute.name == "value" and value.data_type == TensorProto.FLOAT:
            return numpy_helper.to_array(value)
        if attribute.name in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
    return None


def read(nodes: Iterable[NodeProto], graph: GraphProto) -> set[str]:
    """All names that nodes read, in bodies too, and the names of the graph's outputs."""
    found = {entry.name for entry in graph.output}
    for node in nodes:
        found.update(node.input)
        for body in bodies(node):
            found |= read(body.node, body)
    return found


def names(graph: GraphProto) -> set[str]:
    """All names of tensors, in bodies too."""
    found = read(graph.node, graph) | {entry.name for entry in (*graph.input, *graph.initializer)}
    for node in graph.node:
        found.update(node.output)
        for body in bodies(node):
            found |= names(body)
    return found


# As `subgraphs.inner_graphs`: nothing of the package is imported here, see tests/test_layering.py.
def bodies(node: NodeProto) -> list[GraphProto]:
    """The graphs that an operator such as Loop has in itself."""
    found = []
    for attribute in node.attribute:
        found += [attribute.g] if attribute.HasField("g") else []
        found += attribute.graphs
    return found
