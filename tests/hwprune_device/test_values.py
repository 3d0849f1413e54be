"""Shapes of a graph's values."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hwprune_device.values import value_shapes


def grouped(output: onnx.ValueInfoProto) -> onnx.ModelProto:
    """N C H W -> GroupNormalization, whose result onnx gives no shape, -> the output `y`."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 2, 2])
    node = helper.make_node("GroupNormalization", ["x", "scale", "bias"], ["y"], num_groups=2)
    weights = [numpy_helper.from_array(np.ones(4, np.float32), name) for name in ("scale", "bias")]
    graph = helper.make_graph([node], "grouped", [given], [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def test_an_output_that_came_without_a_shape_gets_the_one_of_what_makes_it():
    bare = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    assert value_shapes(grouped(bare), batch=3)["y"] == (3, 4, 2, 2)
