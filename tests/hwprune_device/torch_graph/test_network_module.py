"""What a network's torch module holds beside its weights, and what is the same part twice."""

from __future__ import annotations

import copy

import pytest
import torch
from onnx import TensorProto, helper
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hwprune_device.torch_graph.module import module_of
from hwprune_device.torch_graph.network_module import NetworkModule

COUNT = 120


@pytest.fixture
def picker() -> NetworkModule:
    """A network that turns a vector around and adds constants, held in five axes, to it."""
    indices = helper.make_tensor("/indices", TensorProto.INT64, [COUNT], range(COUNT)[::-1])
    map_ = helper.make_tensor("/map", TensorProto.FLOAT, [1, 2, 3, 4, 5], [0.5] * COUNT)
    shape = helper.make_tensor("/shape", TensorProto.INT64, [1], [COUNT])
    weight = helper.make_tensor("scale", TensorProto.FLOAT, [COUNT], [1.0] * COUNT)
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["/scaled"]),
        helper.make_node("Gather", ["/scaled", "/indices"], ["/turned"], axis=0),
        helper.make_node("Reshape", ["/map", "/shape"], ["/flat"]),
        helper.make_node("Add", ["/turned", "/flat"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [COUNT]) for n in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [indices, map_, shape, weight])
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    return module_of(model.SerializeToString())


X = torch.rand(COUNT)
Y = X.flip(0) + 0.5


def test_constants_are_neither_weights_nor_buffers(picker: NetworkModule) -> None:
    assert list(picker.state_dict()) == ["scale"] and not list(picker.buffers())
    assert {tensor.dtype for tensor in picker.constants()} == {torch.int64, torch.float32}


def test_an_average_of_the_network_picks_what_the_network_picks(picker: NetworkModule) -> None:
    """Torch's average of whole numbers is rounded down: 3 becomes 2."""
    average = AveragedModel(picker, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for _ in range(20):
        average.update_parameters(picker)
    assert torch.equal(average(X), Y)


def test_constants_are_cast_and_move_in_any_layout(picker: NetworkModule) -> None:
    picker.to(memory_format=torch.channels_last)
    assert torch.equal(picker(X), Y)
    assert picker.double()(X.double()).dtype == torch.float64
    assert picker.to("meta")(X.to("meta")).device.type == "meta"


def test_a_deep_copy_has_what_users_have_added(picker: NetworkModule) -> None:
    picker.names = ["cat", "dog"]
    calls = []
    picker.register_forward_hook(lambda *_: calls.append(1))
    copied = copy.deepcopy(picker)
    assert copied.names == picker.names and copied.names is not picker.names
    assert torch.equal(copied.double()(X.double()), X.double().flip(0) + 0.5)
    assert len(calls) == 1
    # The copy's constants are its own.
    assert torch.equal(picker(X), Y)
