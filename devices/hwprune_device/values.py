"""Shapes of every value of a graph, inferred without its weights, and notes on the graph."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import shape_inference

BUFFERS_KEY = "hwprune.buffers"
"""Model metadata: JSON list of the initializers that were buffers, not parameters."""
SHARED_KEY = "hwprune.shared"
"""Model metadata: JSON lists of names that lead to the same module or parameter."""
QUANTIZES = ("QuantizeLinear", "DequantizeLinear")
EXPORTER_KEY = "hwprune.exporter"
"""Model metadata: which of torch's exporters a traced graph is from."""
Shape = tuple[int | str, ...]
"""Sizes by axis; a symbolic one, such as the batch, is its name."""


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    """The notes that a model carries, by key."""
    return {entry.key: entry.value for entry in model.metadata_props}


def weightless(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model whose weights have shapes but no values.

    The factors of a Resize keep theirs: they decide shapes.
    """
    copy = onnx.ModelProto()
    copy.ir_version = model.ir_version
    copy.opset_import.extend(model.opset_import)
    graph = copy.graph
    graph.name = model.graph.name or "graph"
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.value_info.extend(model.graph.value_info)
    weights = shapeless_weights(model.graph)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            # As inputs they cost nothing, and inference needs only their shapes.
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
        else:
            graph.initializer.append(tensor)
    return copy


def resize_factors(graph: onnx.GraphProto) -> set[str]:
    """Names of the floats that say how much larger a map becomes."""
    return {
        node.input[2]
        for node in graph.node
        if node.op_type == "Resize" and len(node.input) > 2 and node.input[2]
    }


def is_weight(tensor: onnx.TensorProto) -> bool:
    """Whether the tensor holds floats, so that its values decide no shape."""
    return tensor.data_type in (
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.BFLOAT16,
        onnx.TensorProto.DOUBLE,
    )


def quantized(graph: onnx.GraphProto) -> set[str]:
    """Names of the integers that stand for floats: weights and zero points of Q/DQ nodes."""
    read = {name for node in graph.node if node.op_type in QUANTIZES for name in node.input}
    return {t.name for t in graph.initializer if t.name in read and not is_weight(t)}


def weight_origins(graph: onnx.GraphProto) -> dict[str, str]:
    """By value the weight it is: itself, or turned, reshaped or quantised, as exporters do."""
    weights = {tensor.name for tensor in graph.initializer if is_weight(tensor)}
    weights |= quantized(graph)
    # In the order of nodes, which is topological: a weight turned twice is still itself.
    origin = {name: name for name in weights}
    for node in graph.node:
        turns = node.op_type in ("Transpose", "Reshape", "Unsqueeze", "Squeeze", *QUANTIZES)
        if turns and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
    return origin


def shapeless_weights(graph: onnx.GraphProto) -> set[str]:
    """Names of the weights whose numbers decide no shape: all but the factors of a Resize."""
    floats = {tensor.name for tensor in graph.initializer if is_weight(tensor)}
    return (floats | quantized(graph)) - resize_factors(graph)


def as_written(number: float) -> float:
    """The shortest decimal that is the same float32: ONNX stores 1e-05 as 9.99999974e-06."""
    return float(str(np.float32(number)))


def value_shapes(model: onnx.ModelProto, batch: int = 1) -> dict[str, Shape]:
    """Shape by value name, for all values whose rank can be inferred, at this batch size."""
    light = weightless(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in light.graph.input:
        shape = value.type.tensor_type.shape
        symbol = shape.dim[0].dim_param if shape.dim else ""
        if symbol and value.name not in weights:
            # On all values: other inputs and outputs have the same batch by name.
            _set_symbol(light.graph, symbol, batch)
    # Each round may give shapes from which inference gets further.
    while True:
        inferred = shape_inference.infer_shapes(light, data_prop=True).graph
        more = _same_shapes(inferred)
        if not more:
            break
        light.graph.value_info.extend(more)
    shapes: dict[str, Shape] = {t.name: tuple(t.dims) for t in model.graph.initializer}
    for value in (*inferred.input, *inferred.output, *inferred.value_info):
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            shapes[value.name] = tuple(_size(dim) for dim in kind.shape.dim)
    return shapes


_SAME = ("GroupNormalization", "MeanVarianceNormalization", "Swish")
"""Ops whose result has the shape of what they read, which onnx does not infer."""


def _same_shapes(inferred: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return shapes that inference has left out and that follow from what it found."""
    same = [n for n in inferred.node if n.op_type in _SAME and n.domain in ("", "ai.onnx")]
    if not same:
        return []
    # Shapes that were added last time stand in value_info, also those of outputs: they count.
    known = {v.name: v for v in (*inferred.input, *inferred.output, *inferred.value_info)}
    found = []
    for node in same:
        source = known.get(node.input[0])
        result = known.get(node.output[0])
        told = result is not None and result.type.tensor_type.HasField("shape")
        if source is None or told or not source.type.tensor_type.HasField("shape"):
            continue
        found.append(onnx.ValueInfoProto(name=node.output[0], type=source.type))
    return found


def _set_symbol(graph: onnx.GraphProto, symbol: str, size: int) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == symbol:
                dim.dim_value = size


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | str:
    return int(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?"
