"""Integers that a graph computes from shapes, worked out before any input comes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from hwprune.channels.reshape_targets import filled_in
from hwprune_device.values import Shape, is_weight

_MOST = 4096
"""Elements of what is still a list of sizes or places."""
Attributes = Mapping[str, Any]
Compute = Callable[[list[np.ndarray], Attributes], np.ndarray]


def shape_values(graph: onnx.GraphProto, shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    """Integer values by name, of constants and of all that follows from them and from `shapes`."""
    known = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if not is_weight(tensor) and np.prod(tensor.dims, dtype=int) <= _MOST
    }
    for node in graph.node:
        found = _value(node, known, shapes)
        # Integers and booleans: floats decide no shape.
        if found is not None and found.size <= _MOST and found.dtype.kind in "iub":
            known[node.output[0]] = found
    return known


def _value(
    node: onnx.NodeProto, known: Mapping[str, np.ndarray], shapes: Mapping[str, Shape]
) -> np.ndarray | None:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type in ("Shape", "Size"):
        shape = shapes.get(node.input[0])
        if shape is None or not all(isinstance(size, int) for size in shape):
            return None
        sizes = np.array(shape, dtype=np.int64)
        if node.op_type == "Size":
            return np.asarray(sizes.prod())
        return sizes[attributes.get("start", 0) : attributes.get("end")]
    compute = _COMPUTE.get(node.op_type)
    given = list(node.input)
    while given and not given[-1]:
        given.pop()
    # An input left out between others would move them: a Slice's steps would be its axes.
    if compute is None or not all(name in known for name in given):
        return None
    inputs = [known[name] for name in given]
    try:
        # The size first: a file may ask for a Range or a fill of gigabytes.
        return compute(inputs, attributes) if _size(node, inputs, attributes) <= _MOST else None
    except (IndexError, ValueError, TypeError, KeyError, OverflowError):
        return None


def _size(node: onnx.NodeProto, inputs: list[np.ndarray], attributes: Attributes) -> int:
    """Elements of what a node gives, at most; known before it is computed."""
    if node.op_type == "ConstantOfShape":
        return math.prod(inputs[0].reshape(-1).tolist())
    if node.op_type == "Range":
        return len(range(*(int(v.reshape(-1)[0]) for v in inputs)))
    if node.op_type == "Gather":
        data, places = inputs
        return places.size * data.size // max(1, data.shape[int(attributes.get("axis", 0))])
    if node.op_type in _BROADCASTS:
        return math.prod(np.broadcast_shapes(*(v.shape for v in inputs)))
    return sum(v.size for v in inputs)


def _slice(inputs: list[np.ndarray], attributes: Attributes) -> np.ndarray:
    data, starts, ends, *rest = inputs
    axes = rest[0] if rest else np.arange(len(starts))
    steps = rest[1] if len(rest) > 1 else np.ones(len(starts), np.int64)
    places = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places[int(axis)] = slice(int(start), int(end), int(step))
    return data[tuple(places)]


def _squeeze(inputs: list[np.ndarray], attributes: Attributes) -> np.ndarray:
    axes = inputs[1].tolist() if len(inputs) > 1 else attributes.get("axes")
    return np.squeeze(inputs[0], tuple(axes) if axes else None)


def _unsqueeze(inputs: list[np.ndarray], attributes: Attributes) -> np.ndarray:
    axes = inputs[1].tolist() if len(inputs) > 1 else attributes["axes"]
    return np.expand_dims(inputs[0], tuple(np.atleast_1d(axes)))


def _reshape(inputs: list[np.ndarray], attributes: Attributes) -> np.ndarray:
    data, target = inputs
    if attributes.get("allowzero"):
        return data.reshape(target.tolist())
    sizes = filled_in(list(data.shape), target.tolist())
    if sizes is None:
        raise ValueError("the target has another number of elements")
    return data.reshape(sizes)


def _divide(inputs: list[np.ndarray], attributes: Attributes) -> np.ndarray:
    # ONNX divides integers towards zero.
    return np.asarray(np.trunc(inputs[0] / inputs[1]).astype(inputs[0].dtype))


def _product(inputs: list[np.ndarray], attributes: Attributes) -> np.ndarray:
    axes = inputs[1].tolist() if len(inputs) > 1 else attributes.get("axes")
    if not axes and attributes.get("noop_with_empty_axes"):
        return inputs[0]
    along = tuple(axes) if axes else None
    return np.asarray(inputs[0].prod(axis=along, keepdims=bool(attributes.get("keepdims", 1))))


def _cast(inputs: list[np.ndarray], attributes: Attributes) -> np.ndarray:
    kind = onnx.helper.tensor_dtype_to_np_dtype(int(attributes["to"]))
    return inputs[0].astype(kind)


def _filled(inputs: list[np.ndarray], attributes: Attributes) -> np.ndarray:
    value = attributes.get("value")
    number = numpy_helper.to_array(value) if value is not None else np.zeros(1, np.float32)
    return np.full(inputs[0].tolist(), number.reshape(-1)[0])


_BROADCASTS = ("Add", "Div", "Equal", "Mul", "Sub", "Where")
_COMPUTE: dict[str, Compute] = {
    "Add": lambda x, _: np.asarray(x[0] + x[1]),
    "Cast": _cast,
    "Concat": lambda x, a: np.concatenate(x, axis=int(a["axis"])),
    "ConstantOfShape": _filled,
    "Div": _divide,
    "Equal": lambda x, _: np.asarray(x[0] == x[1]),
    "Gather": lambda x, a: np.asarray(np.take(x[0], x[1], axis=int(a.get("axis", 0)))),
    "Mul": lambda x, _: np.asarray(x[0] * x[1]),
    "Range": lambda x, _: np.arange(*(int(v.reshape(-1)[0]) for v in x), dtype=x[0].dtype),
    "ReduceProd": _product,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": lambda x, _: np.asarray(x[0] - x[1]),
    "Unsqueeze": _unsqueeze,
    "Where": lambda x, _: np.where(x[0], x[1], x[2]),
}
