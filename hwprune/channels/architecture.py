"""The identity of a network's structure: ops, attributes, shapes, types; no weights, no names.

Latency does not depend on weights, so readings are stored under this hash. It is built bottom-up
from the inputs, so the order of nodes and the names of values cannot matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from hwprune_device.plan import CutPlan
from hwprune_device.subgraphs import captured
from hwprune_device.values import is_weight, quantized, resize_factors

_SMALL = 1024
"""Integer constants up to this size are structure (shapes, pads, axes); larger are data."""


def architecture_hash(model: bytes) -> str:
    """SHA-256, as 64 hex digits, of a model's structure."""
    return Structure(onnx.load_model_from_string(model)).hash()


class Structure:
    """A parsed graph that can be hashed as it is, or as a cut would leave it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self._opsets = sorted((o.domain, o.version) for o in model.opset_import)
        self._dims = {t.name: tuple(t.dims) for t in graph.initializer}
        self._types = {t.name: t.data_type for t in graph.initializer}
        factors, data = resize_factors(graph), quantized(graph)
        self._numbers = {
            t.name: numpy_helper.to_array(t)
            for t in graph.initializer
            if _is_structure(t, data) or t.name in factors
        }
        self._inputs = [(v.name, _type_key(v)) for v in graph.input if v.name not in self._dims]
        self._outputs = [v.name for v in graph.output]
        self._nodes = [
            (n.name, n.domain, n.op_type, _attributes(n), _read(n), tuple(n.output))
            for n in graph.node
        ]

    def hash(self) -> str:
        """The hash of the graph as it is."""
        return self._digest(self._dims, self._numbers, {})

    def hash_of(self, plan: CutPlan, widths: Sequence[int]) -> str:
        """The hash of the graph cut to these widths, without cutting it."""
        dims = {name: list(shape) for name, shape in self._dims.items()}
        # What `Cutter` does to the graph, done to sizes and numbers alone.
        for axis_cut in plan.axes:
            dims[axis_cut.initializer][axis_cut.axis] = axis_cut.size(widths)
        integers = dict(self._numbers)
        attributes: dict[tuple[str, str], list[tuple[int | None, int]]] = {}
        for literal in plan.literals:
            number = literal.value(widths)
            if literal.initializer:
                array = integers[literal.initializer].copy()
                array[literal.index if literal.index is not None else ...] = number
                integers[literal.initializer] = array
            else:
                place = (literal.node, literal.attribute)
                attributes.setdefault(place, []).append((literal.index, number))
        return self._digest(dims, integers, attributes)

    def _digest(
        self,
        dims: Mapping[str, Sequence[int]],
        integers: Mapping[str, np.ndarray],
        patches: Mapping[tuple[str, str], list[tuple[int | None, int]]],
    ) -> str:
        known: dict[str, bytes] = {"": b"absent"}
        for position, (name, key) in enumerate(self._inputs):
            known[name] = _sha("input", position, key)
        for name, shape in dims.items():
            # Of a weight only type and shape count.
            values = integers[name].tolist() if name in integers else None
            known[name] = _sha("constant", self._types[name], tuple(shape), values)
        for name, domain, op_type, attributes, inputs, outputs in self._nodes:
            if patches:
                attributes = _patched(name, attributes, patches)
            parts = b"".join(known[value] for value in inputs)
            node = _sha(domain, op_type, sorted(attributes.items()), len(inputs), parts)
            for position, value in enumerate(outputs):
                known[value] = _sha(position, node)
        ends = b"".join(known[name] for name in self._outputs)
        return hashlib.sha256(repr(self._opsets).encode() + ends).hexdigest()


def _is_structure(tensor: onnx.TensorProto, data: set[str]) -> bool:
    """Whether the numbers themselves are part of the structure, and not only how many they are."""
    small = np.prod(tensor.dims, dtype=int) <= _SMALL
    return bool(small) and not is_weight(tensor) and tensor.name not in data


def _read(node: onnx.NodeProto) -> tuple[str, ...]:
    """Inputs in their places, and what the node's own graphs take from outside."""
    return (*node.input, *captured(node))


def _sha(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def _type_key(value: onnx.ValueInfoProto) -> tuple[int, tuple[object, ...]]:
    """Element type and shape; symbolic sizes by place, not by name."""
    tensor = value.type.tensor_type
    dims = tuple(d.dim_value if d.HasField("dim_value") else "?" for d in tensor.shape.dim)
    return tensor.elem_type, dims


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    """Attributes as plain values; a subgraph or tensor as its bytes."""
    values: dict[str, object] = {}
    for item in node.attribute:
        value = onnx.helper.get_attribute_value(item)
        if isinstance(value, onnx.TensorProto | onnx.GraphProto):
            value = value.SerializeToString(deterministic=True)
        values[item.name] = list(value) if isinstance(value, list | tuple) else value
    return values


def _patched(
    node: str,
    attributes: dict[str, object],
    patches: Mapping[tuple[str, str], list[tuple[int | None, int]]],
) -> dict[str, object]:
    patched = dict(attributes)
    for name in attributes:
        for index, number in patches.get((node, name), ()):
            if index is None:
                patched[name] = number
            else:
                row = list(patched[name])  # type: ignore[call-overload]
                row[index] = number
                patched[name] = row
    return patched
