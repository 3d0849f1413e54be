"""The graph that pnnx is given: of fixed sizes, without what ncnn has another way of saying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

_SPATIAL = 4
"""Rank of N C H W: ncnn pools height and width alone."""
Shape = tuple[int, ...]


def fixed(model: bytes, shapes: Sequence[Shape]) -> onnx.ModelProto:
    """The network for inputs of these shapes alone, with the shapes of all its values."""
    made = onnx.load_model_from_string(model)
    weights = {tensor.name for tensor in made.graph.initializer}
    inputs = [value for value in made.graph.input if value.name not in weights]
    for value, shape in zip(inputs, shapes, strict=True):
        _fix(value, shape)
    # Shapes for the open batch would contradict those that are inferred now.
    del made.graph.value_info[:]
    for value in made.graph.output:
        value.type.tensor_type.ClearField("shape")
    made = onnx.shape_inference.infer_shapes(made, data_prop=True)
    return _pooled(made)


def output_shapes(model: onnx.ModelProto) -> tuple[Shape | None, ...]:
    """Of each output; None where it is not known before it runs."""
    return tuple(_shape(value) for value in model.graph.output)


def _fix(value: onnx.ValueInfoProto, shape: Shape) -> None:
    del value.type.tensor_type.shape.dim[:]
    for size in shape:
        value.type.tensor_type.shape.dim.add().dim_value = size


def _shape(value: onnx.ValueInfoProto) -> Shape | None:
    tensor = value.type.tensor_type
    known = tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim)
    return tuple(d.dim_value for d in tensor.shape.dim) if known else None


def _pooled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Slices that skip rows and columns as max pooling of one pixel, which ncnn has for them."""
    graph = model.graph
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    shapes = {v.name: _shape(v) for v in (*graph.value_info, *graph.input, *graph.output)}
    for position, node in enumerate(graph.node):
        shape = shapes.get(node.input[0]) if node.op_type == "Slice" else None
        strides = None if shape is None else _strides(node, shape, constants)
        if strides is not None:
            pool = helper.make_node(
                "MaxPool",
                node.input[:1],
                node.output,
                name=node.name,
                kernel_shape=[1, 1],
                strides=strides,
            )
            graph.node[position].CopyFrom(pool)
    return model


def _strides(
    node: onnx.NodeProto, shape: Shape, constants: Mapping[str, np.ndarray]
) -> list[int] | None:
    """Steps down and across of a Slice that takes every so many from the first to the last."""
    if len(shape) != _SPATIAL or len(node.input) < 5:
        return None
    if any(name not in constants for name in node.input[1:5]):
        return None
    starts, ends, axes, steps = (constants[name].tolist() for name in node.input[1:5])
    axes = [axis % _SPATIAL for axis in axes]
    # From the first element to the last: a crop is no pooling.
    whole = not any(starts) and all(e >= shape[a] for e, a in zip(ends, axes, strict=True))
    if not whole or not set(axes) <= {2, 3} or min(steps) < 1:
        return None
    by_axis = dict(zip(axes, steps, strict=True))
    return [by_axis.get(2, 1), by_axis.get(3, 1)]
