"""A network of one node: what a runtime runs once, so that later builds need not wait."""

from __future__ import annotations

import onnx


def one_node() -> bytes:
    """A Relu of one number, as ONNX."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([node], "warm", [value], [result])
    # Old on purpose: ONNX Runtime reads it since 1.12.
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    return bytes(model.SerializeToString())
