"""The torch module of a graph has the graph's inputs as arguments, whatever they are called."""

from __future__ import annotations

import inspect

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hwprune_device.torch_graph.module import module_of

NAMES = st.text(min_size=1, max_size=8) | st.sampled_from(
    ["input", "input_1", "input.1", "a.b", "a_b", "self", "torch", "inf", "class", "relu", "1"]
)


def weighted_sum(names: list[str]) -> bytes:
    """y = Σ (i + 1) max(inputs[i], 0)."""
    nodes, weights, terms = [], [], []
    for i, name in enumerate(names):
        factor = helper.make_tensor(f"/f{i}", TensorProto.FLOAT, [1], [float(i + 1)])
        weights.append(factor)
        nodes.append(helper.make_node("Relu", [name], [f"/relu{i}"]))
        nodes.append(helper.make_node("Mul", [f"/relu{i}", factor.name], [f"/term{i}"]))
        terms.append(f"/term{i}")
    nodes.append(helper.make_node("Sum", terms, ["/y"]))
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3]) for n in names]
    outputs = [helper.make_tensor_value_info("/y", TensorProto.FLOAT, [3])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@given(st.lists(NAMES, min_size=1, max_size=4, unique=True))
@example(["x.1", "x.2"])
@example(["input", "input_1"])
@example(["input_1", "input"])
@example(["a.b", "a_b"])
@example(["self", "torch", "inf"])
def test_no_two_inputs_are_taken_for_each_other(names: list[str]) -> None:
    module = module_of(weighted_sum(names))
    values = [torch.rand(3) for _ in names]
    expected = torch.stack([(i + 1) * value for i, value in enumerate(values)]).sum(0)
    assert torch.allclose(module(*values), expected)
    arguments = list(inspect.signature(module.forward).parameters)
    assert torch.allclose(module(**dict(zip(arguments, values, strict=True))), expected)


def test_inputs_keep_names_that_python_has() -> None:
    module = module_of(weighted_sum(["input", "depth.0", "mask"]))
    assert list(inspect.signature(module.forward).parameters) == ["input", "depth_0", "mask"]
