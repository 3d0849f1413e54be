"""Layer norms that an exporter wrote out in means, squares and roots, as one node each again.

So the torch twin has layers at the paths of their weights, and boards run one kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper, version_converter

from hwprune.channels.canonical import canonical
from hwprune.channels.nodes import replace_nodes
from hwprune_device.values import as_written, value_shapes

OPSET = 17
"""The first one that knows layer norms."""


def with_layer_norms(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a LayerNormalization wherever its formula stands, over the last axis.

    Args:
        proto: in canonical form. One without such a formula is given back as it is.
    """
    found = _Formulas(proto).find()
    if not found:
        return proto
    opset = next(entry for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    if opset.version < OPSET:
        proto = version_converter.convert_version(proto, OPSET)
    # In the place of the formula's last node, where all that it reads is made already.
    replace_nodes(proto.graph, [found.get(node.output[0], node) for node in proto.graph.node])
    return canonical(proto)


class _Formulas:
    """Finds (x - mean) / sqrt(mean of squares + epsilon) * scale + shift in a graph."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._shapes = value_shapes(proto)
        self._nodes = list(proto.graph.node)
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self._nodes:
            for name in set(node.input):
                self._readers.setdefault(name, []).append(node)
        self._producers = {name: node for node in self._nodes for name in node.output}
        self._constants = {tensor.name: tensor for tensor in proto.graph.initializer}

    def find(self) -> dict[str, onnx.NodeProto]:
        """The node that computes each formula, by the name of the formula's result."""
        found = {}
        for node in self._nodes:
            scale = self._vector(node) if node.op_type == "Mul" else None
            if scale is None:
                continue
            normal = next((name for name in node.input if name != scale), "")
            matched = self._normalised(normal)
            if matched is None:
                continue
            data, epsilon = matched
            end, inputs = self._shifted(node, [data, scale])
            found[end] = helper.make_node(
                *("LayerNormalization", inputs, [end]),
                name=self._producers[normal].name,
                axis=-1,
                epsilon=epsilon,
            )
        return found

    def _shifted(self, scaled: onnx.NodeProto, inputs: list[str]) -> tuple[str, list[str]]:
        """The result and inputs with the shift that follows, where one does and nothing else."""
        result = scaled.output[0]
        readers = self._readers.get(result, [])
        shift = self._vector(readers[0]) if len(readers) == 1 else None
        if shift is None or readers[0].op_type != "Add":
            return result, inputs
        return readers[0].output[0], [*inputs, shift]

    def _normalised(self, name: str) -> tuple[str, float] | None:
        """The x and epsilon of (x - mean) / sqrt(variance + epsilon); None for anything else."""
        node = self._producers.get(name)
        if node is None or node.op_type not in ("Div", "Mul"):
            return None
        centred, root = node.input
        if node.op_type == "Mul":
            inverse = self._made_by(root, "Reciprocal")
            root = inverse[0] if inverse else ""
        variance, epsilon = self._variance(root)
        squares = self._mean_of(variance)
        if epsilon is None or not squares or not self._is_square(squares, centred):
            return None
        parts = self._made_by(centred, "Sub")
        if len(parts) != 2 or self._mean_of(parts[1]) != parts[0]:
            return None
        return parts[0], epsilon

    def _variance(self, root: str) -> tuple[str, float | None]:
        """The variance and epsilon of sqrt(variance + epsilon)."""
        under = self._made_by(root, "Sqrt")
        terms = self._made_by(under[0], "Add") if under else []
        for value, other in (terms, terms[::-1]) if len(terms) == 2 else ():
            number = self._number(other)
            if number is not None:
                return value, number
        return "", None

    def _is_square(self, name: str, of: str) -> bool:
        power = self._made_by(name, "Pow")
        if power:
            return power[0] == of and self._number(power[1]) == 2
        return self._made_by(name, "Mul") == [of, of]

    def _mean_of(self, name: str) -> str:
        """What a value is the mean of, over the last axis, which stays; empty for no mean."""
        inputs = self._made_by(name, "ReduceMean")
        if not inputs:
            return ""
        values = {a.name: helper.get_attribute_value(a) for a in self._producers[name].attribute}
        axes: Sequence[int] = values.get("axes", ())
        if len(inputs) > 1 and inputs[1] in self._constants:
            axes = numpy_helper.to_array(self._constants[inputs[1]]).reshape(-1).tolist()
        last = len(self._shapes.get(inputs[0], ())) - 1
        kept = values.get("keepdims", 1) and list(axes) in ([-1], [last])
        return str(inputs[0]) if kept else ""

    def _made_by(self, name: str, op_type: str) -> list[str]:
        """The inputs of the node that makes a value, where it is of this type."""
        node = self._producers.get(name)
        return list(node.input) if node is not None and node.op_type == op_type else []

    def _number(self, name: str) -> float | None:
        tensor = self._constants.get(name)
        array = numpy_helper.to_array(tensor) if tensor is not None else np.zeros(0)
        # 1e-5 as it was meant, not as float32 stores it: the architecture hash holds epsilon.
        return as_written(float(array.reshape(-1)[0])) if array.size == 1 else None

    def _vector(self, node: onnx.NodeProto) -> str | None:
        """The input that is a constant row of numbers along the last axis of the other."""
        for name, other in (tuple(node.input), tuple(node.input)[::-1]):
            tensor, shape = self._constants.get(name), self._shapes.get(other, ())
            if tensor is not None and shape and list(tensor.dims) == [shape[-1]]:
                return name
        return None
