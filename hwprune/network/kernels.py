"""Kernels that a network computes from its own weights, worked out once.

Weight norm, spectral norm, standardised weights and half-precision weights behind a Cast are such:
a formula that no input has a part in. To a cut they are weights like others, once they are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from hwprune_device.subgraphs import inner_graphs
from hwprune_device.values import QUANTIZES, is_weight

ROLES: Mapping[str, tuple[str, ...]] = {
    "Conv": ("weight", "bias"),
    "ConvTranspose": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
    "MatMul": ("weight",),
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
    "LayerNormalization": ("weight", "bias"),
    "InstanceNormalization": ("weight", "bias"),
    "GroupNormalization": ("weight", "bias"),
    "PRelu": ("weight",),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), ("weight_ih", "weight_hh", "bias")),
}
"""What the inputs after the first are; other float constants are no parameters."""
_MOVES = {
    *("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather", "Concat"),
    *QUANTIZES,
}
"""Ops that leave a weight what it is; the analysis follows weights through them."""


def with_kernels(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model, in place, whose layers have weights where they had formulas of weights.

    Args:
        proto: in canonical form. What is only moved (a turned weight) stays a weight and a move.
    """
    static = _Static(proto)
    taken = {tensor.name for tensor in proto.graph.initializer}
    done: dict[str, str] = {}
    for node in proto.graph.node:
        roles = () if static.makes(node) else ROLES.get(node.op_type, ())
        for position, role in enumerate(roles, start=1):
            value = node.input[position] if position < len(node.input) else ""
            # A formula that two layers read becomes one weight, by `done`.
            if value not in done and static.is_formula(value):
                array = static.array(value)
                if array is None:
                    continue
                done[value] = _free(node.name, role, taken)
                tensor = numpy_helper.from_array(array, done[value])
                proto.graph.initializer.append(tensor)
            if value in done:
                node.input[position] = done[value]
    return proto


class _Static:
    """Values of a graph that are made of constants alone."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._proto = proto
        self._constants = {tensor.name: tensor for tensor in proto.graph.initializer}
        self._made: dict[str, onnx.NodeProto] = {}
        known = set(self._constants)
        for node in proto.graph.node:
            inputs = [name for name in node.input if name]
            if inputs and known.issuperset(inputs) and not any(inner_graphs(node)):
                known.update(node.output)
                self._made.update(dict.fromkeys(node.output, node))

    def makes(self, node: onnx.NodeProto) -> bool:
        """Whether what a node puts out is made of constants alone."""
        return node.output[0] in self._made

    def is_formula(self, value: str) -> bool:
        """Whether a weight's numbers are changed on the way to this value."""
        return any(node.op_type not in _MOVES for node in self._way(value))

    def array(self, value: str) -> np.ndarray | None:
        """The value; None where it is not of floats, or cannot be worked out."""
        nodes = self._way(value)
        names = {name for node in nodes for name in node.input if name in self._constants}
        # A graph of these nodes alone, so that no other weight is read or computed.
        graph = onnx.GraphProto(name="kernel")
        graph.node.extend(nodes)
        graph.initializer.extend(self._constants[name] for name in names)
        graph.output.append(onnx.ValueInfoProto(name=value))
        model = onnx.ModelProto(ir_version=self._proto.ir_version, graph=graph)
        model.opset_import.extend(self._proto.opset_import)
        try:
            found: Any = ReferenceEvaluator(model).run(None, {})
            array = np.asarray(found[0])
        except Exception:  # the evaluator raises whatever it meets
            return None
        weights = [self._constants[name] for name in names if is_weight(self._constants[name])]
        return array if weights and array.dtype.kind == "f" else None

    def _way(self, value: str) -> list[onnx.NodeProto]:
        """The nodes that make a value, in the graph's order."""
        waiting, found = [value], set[int]()
        while waiting:
            node = self._made.get(waiting.pop())
            if node is not None and id(node) not in found:
                found.add(id(node))
                waiting += node.input
        ways = {id(node): node for node in self._made.values() if id(node) in found}
        return list(ways.values())


def _free(node_name: str, role: str, taken: set[str]) -> str:
    """`layer1.conv.computed.weight` of `layer1.conv/Conv`: no key of the traced module."""
    path = ".".join(part for part in node_name.rpartition("/")[0].split("/") if part)
    stem = f"{path}.computed" if path else "computed"
    name, number = f"{stem}.{role}", 1
    while name in taken:
        number += 1
        name = f"{stem}_{number}.{role}"
    taken.add(name)
    return name
