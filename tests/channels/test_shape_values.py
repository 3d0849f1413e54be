from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwprune.channels.shape_values import shape_values


def graph_of(node: onnx.NodeProto, constants: dict[str, object]) -> onnx.GraphProto:
    graph = onnx.GraphProto(name="sizes", node=[node])
    graph.output.append(onnx.ValueInfoProto(name="y"))
    for name, values in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    return graph


@pytest.mark.parametrize(
    ("axes", "keepdims"), [([0], 1), ([1], 0), ([-1], 1), ([0, 1], 0), (None, 1), (None, 0)]
)
def test_products_of_sizes_are_those_of_the_named_axes(axes: Sequence[int] | None, keepdims: int):
    constants = {"x": [[2, 3], [4, 5]]} | ({} if axes is None else {"axes": axes})
    node = helper.make_node("ReduceProd", list(constants), ["y"], keepdims=keepdims)
    graph = graph_of(node, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    (expected,) = ReferenceEvaluator(model).run(None, {})
    found = shape_values(graph, {})["y"]
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


def test_steps_of_a_slice_without_axes_are_no_axes():
    node = helper.make_node("Slice", ["x", "starts", "ends", "", "steps"], ["y"])
    constants = {"x": [3, 4, 5], "starts": [-1], "ends": [-9], "steps": [-1]}
    found = shape_values(graph_of(node, constants), {})
    # Not worked out is right, an empty list is not.
    assert found.get("y", np.array([5, 4, 3])).tolist() == [5, 4, 3]
