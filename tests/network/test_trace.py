"""A trace keeps names, BatchNorm and an open batch, and says what cannot be traced."""

from __future__ import annotations

import onnx
import pytest
import torch
from torch import nn

from hwprune.channels.architecture import architecture_hash
from hwprune.errors import NetworkError
from hwprune.network import zoo
from hwprune.network.trace import trace
from tests.traced import NETWORKS, relative, run_onnx, traced


@pytest.mark.parametrize("name", NETWORKS)
def test_graph_computes_what_the_module_computes(name: str) -> None:
    network = traced(name)
    with torch.no_grad():
        expected = network.module(network.example).numpy()
    assert relative(run_onnx(network.base.onnx, network.example), expected) < 1e-5


@pytest.mark.parametrize("name", ["cifar_resnet20", "mobilenet_v2"])
def test_initializers_are_the_state_dict(name: str) -> None:
    network = traced(name)
    graph = onnx.load_model_from_string(network.base.onnx).graph
    given = {t.name for t in graph.initializer}
    state = {k for k in network.module.state_dict() if not k.endswith("num_batches_tracked")}
    assert state <= given
    assert sum(node.op_type == "BatchNormalization" for node in graph.node) == sum(
        isinstance(layer, nn.BatchNorm2d) for layer in network.module.modules()
    )


def test_nodes_are_named_by_module() -> None:
    graph = onnx.load_model_from_string(traced("cifar_resnet20").base.onnx).graph
    names = [node.name for node in graph.node]
    assert "layer2.0.conv1/Conv" in names and "layer2.0.shortcut/Pad" in names
    assert len(set(names)) == len(names)


def test_no_shape_constant_holds_the_batch() -> None:
    graph = onnx.load_model_from_string(traced("flatten_vgg").base.onnx).graph
    shapes = [
        onnx.numpy_helper.to_array(tensor).tolist()
        for node in graph.node
        for tensor in graph.initializer
        if node.op_type == "Reshape" and tensor.name == node.input[1]
    ]
    assert shapes == [[0, -1]]


def test_special_weights_do_not_change_the_structure() -> None:
    """Zero biases, equal weights and ones are kept: two exports of one structure are equal."""
    plain, special = zoo.cifar_vgg16_bn(), zoo.cifar_vgg16_bn()
    with torch.no_grad():
        for parameter in special.parameters():
            parameter.zero_()
    example = torch.zeros(1, 3, 32, 32)
    first, second = trace(plain, example), trace(special, example)
    assert architecture_hash(first) == architecture_hash(second)


def test_module_is_left_as_it_was() -> None:
    module = zoo.digits_cnn().train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    trace(module, torch.randn(3, 1, 8, 8))
    assert module.training
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_tracing_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    trace(zoo.digits_cnn(), torch.randn(1, 1, 8, 8))
    assert capfd.readouterr() == ("", "")


class _Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.sum().item() > 0 else x


def test_module_that_cannot_be_traced_is_refused_with_the_next_step() -> None:
    with pytest.raises(NetworkError) as caught:
        trace(_Branching(), torch.randn(1, 3, 8, 8))
    assert "cannot be traced" in str(caught.value) and "torch.export" in caught.value.next_step
