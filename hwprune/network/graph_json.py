"""An ONNX graph as plain JSON data without its float weights, and back."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hwprune_device.values import as_written, is_weight, metadata

_TYPE = onnx.TensorProto.DataType


def graph_to_json(proto: onnx.ModelProto) -> dict[str, Any]:
    """Everything of the model but the values of its float initializers.

    A graph inside a node (If, Loop) is written as it is, floats included: no cut changes it.
    """
    graph = proto.graph
    return {
        "ir_version": proto.ir_version,
        "opsets": {opset.domain: opset.version for opset in proto.opset_import},
        "metadata": metadata(proto),
        "inputs": [_value_to_json(value) for value in graph.input],
        "outputs": [_value_to_json(value) for value in graph.output],
        "nodes": [_node_to_json(node) for node in graph.node],
        "constants": {t.name: _array_to_json(t) for t in graph.initializer if not is_weight(t)},
        "weights": {
            t.name: {"type": _TYPE.Name(t.data_type), "shape": list(t.dims)}
            for t in graph.initializer
            if is_weight(t)
        },
    }


def graph_from_json(data: Mapping[str, Any]) -> onnx.ModelProto:
    """The inverse of `graph_to_json`; the float initializers are still to be added."""
    graph = helper.make_graph(
        nodes=[_node_from_json(node) for node in data["nodes"]],
        name="graph",
        inputs=[_value_from_json(value) for value in data["inputs"]],
        outputs=[_value_from_json(value) for value in data["outputs"]],
        initializer=[_array_from_json(name, entry) for name, entry in data["constants"].items()],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in data["opsets"].items()]
    proto = helper.make_model(graph, opset_imports=opsets)
    proto.ir_version = data["ir_version"]
    helper.set_model_props(proto, dict(data["metadata"]))
    return proto


def _value_to_json(value: onnx.ValueInfoProto) -> dict[str, Any]:
    tensor = value.type.tensor_type
    shape = [d.dim_value if d.HasField("dim_value") else d.dim_param for d in tensor.shape.dim]
    return {"name": value.name, "type": _TYPE.Name(tensor.elem_type), "shape": shape}


def _value_from_json(entry: Mapping[str, Any]) -> onnx.ValueInfoProto:
    kind = _TYPE.Value(entry["type"])
    return helper.make_tensor_value_info(entry["name"], kind, entry["shape"])


def _node_to_json(node: onnx.NodeProto) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "op": node.op_type,
        "name": node.name,
        "inputs": list(node.input),
        "outputs": list(node.output),
    }
    if node.domain:
        entry["domain"] = node.domain
    attributes = {a.name: _attribute_to_json(a) for a in node.attribute}
    return {**entry, "attributes": attributes} if attributes else entry


def _attribute_to_json(attribute: onnx.AttributeProto) -> Any:
    """A number, a text or a list of them; a tensor, and an empty list, say what they are."""
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return _scalar(value)
    if isinstance(value, onnx.TensorProto):
        return {"tensor": _array_to_json(value)}
    if isinstance(value, onnx.GraphProto):
        return {"graph": base64.b64encode(value.SerializeToString(deterministic=True)).decode()}
    if isinstance(value, int | float):
        return _scalar(value)
    values = [_scalar(item) for item in value]
    # An empty list does not show its type, which a node cannot be made without.
    return values or {"empty": onnx.AttributeProto.AttributeType.Name(attribute.type)}


def _scalar(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return as_written(value) if isinstance(value, float) else value


def _node_from_json(entry: Mapping[str, Any]) -> onnx.NodeProto:
    node = helper.make_node(
        entry["op"],
        entry["inputs"],
        entry["outputs"],
        name=entry["name"],
        domain=entry.get("domain", ""),
    )
    for name, value in entry.get("attributes", {}).items():
        node.attribute.append(_attribute_from_json(name, value))
    return node


def _attribute_from_json(name: str, value: Any) -> onnx.AttributeProto:
    if isinstance(value, dict) and "graph" in value:
        value = onnx.GraphProto.FromString(base64.b64decode(value["graph"]))
    elif isinstance(value, dict) and "tensor" in value:
        value = _array_from_json("", value["tensor"])
    elif isinstance(value, dict):
        kind = onnx.AttributeProto.AttributeType.Value(value["empty"])
        return helper.make_attribute(name, [], attr_type=kind)
    return helper.make_attribute(name, value)


def _array_to_json(tensor: onnx.TensorProto) -> dict[str, Any]:
    array = numpy_helper.to_array(tensor)
    kind = _TYPE.Name(tensor.data_type)
    return {"type": kind, "shape": list(array.shape), "values": array.reshape(-1).tolist()}


def _array_from_json(name: str, entry: Mapping[str, Any]) -> onnx.TensorProto:
    dtype = helper.tensor_dtype_to_np_dtype(_TYPE.Value(entry["type"]))
    array = np.asarray(entry["values"], dtype=dtype).reshape(entry["shape"])
    return numpy_helper.from_array(array, name)
