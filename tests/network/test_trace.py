"""A trace keeps names, BatchNorm and an open batch, and says what cannot be traced."""

from __future__ import annotations

import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwprune.channels.architecture import architecture_hash
from hwprune.channels.base import make_base
from hwprune.errors import NetworkError
from hwprune.network import zoo
from hwprune.network.gate import check_cut
from hwprune.network.graph_module import to_module
from hwprune.network.trace import trace
from hwprune_device.values import value_shapes
from tests.traced import NETWORKS, relative, run_onnx, traced


@pytest.mark.parametrize("name", NETWORKS)
def test_graph_computes_what_the_module_computes(name: str) -> None:
    network = traced(name)
    with torch.no_grad():
        expected = network.module(network.example).numpy()
    assert relative(run_onnx(network.base.onnx, network.example), expected) < 1e-5


@pytest.mark.parametrize("name", ["cifar_resnet20", "short_mobilenet"])
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
    plain, special = zoo.digits_cnn(), zoo.digits_cnn()
    with torch.no_grad():
        for parameter in special.parameters():
            parameter.zero_()
    example = torch.zeros(1, 1, 8, 8)
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


class _Several(nn.Module):
    """Takes any number of maps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.first(inputs[0]) + self.second(inputs[1])


def test_any_number_of_inputs_keeps_an_open_batch() -> None:
    base = make_base(trace(_Several(), (torch.zeros(1, 3, 8, 8),) * 2))
    assert [entry.any_batch for entry in base.inputs] == [True, True]


class _Resized(nn.Module):
    def __init__(self, size: tuple[int, int], mode: str) -> None:
        super().__init__()
        self.conv, self.size, self.mode = nn.Conv2d(3, 4, 1), size, mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(self.conv(x), self.size, mode=self.mode)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("size", [(33, 33), (16, 65), (7, 5)])
def test_maps_are_resized_to_the_size_that_was_written(size: tuple[int, int], mode: str) -> None:
    module, example = _Resized(size, mode).eval(), torch.randn(2, 3, 17, 17)
    model = trace(module, example)
    proto = onnx.load_model_from_string(model)
    onnx.shape_inference.infer_shapes(proto, strict_mode=True, check_type=True)
    assert value_shapes(proto)[proto.graph.node[-1].output[0]] == (1, 4, *size)
    with torch.no_grad():
        assert relative(run_onnx(model, example), module(example).numpy()) < 1e-5


class _Windows(nn.Module):
    """Attention in windows over five axes, which the newer exporter cannot translate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16)
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x)).permute(0, 2, 3, 1)
        b, h, w, c = x.shape
        windows = x.reshape(b, h // 4, 4, w // 4, 4, c).transpose(2, 3)
        windows = windows.reshape(b, h * w // 16, 16, c)
        qkv = self.qkv(windows).reshape(b, h * w // 16, 16, 3, 2, 8).permute(3, 0, 1, 4, 2, 5)
        attended = nn.functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        found = self.out(attended.transpose(2, 3).reshape(b, h * w // 16, 16, c))
        return self.head(found.mean((1, 2)))


@pytest.mark.filterwarnings("ignore")
def test_what_the_newer_exporter_cannot_take_the_older_one_traces():
    torch.manual_seed(0)
    module, data = _Windows().eval(), torch.randn(2, 3, 16, 16)
    base = make_base(trace(module, data))
    assert base.exporter == "torch.onnx.export, TorchScript"
    assert base.inputs[0].any_batch
    twin = to_module(base.onnx)
    assert set(twin.state_dict()) == set(module.state_dict())
    with torch.inference_mode():
        assert torch.allclose(twin(data), module(data), atol=1e-5)
    assert check_cut(base) == () and {"stem", "qkv"} <= {g.name for g in base.plan.groups}


class _Branches(_Windows):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = super().forward(x)
        return found if found.sum() > 0 else -found


def test_a_branch_on_data_is_refused_by_both_exporters():
    with pytest.raises(NetworkError, match="cannot be traced"):
        trace(_Branches().eval(), torch.randn(2, 3, 16, 16))
