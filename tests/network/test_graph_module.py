"""The torch twin computes, trains and moves like the module it stands for."""

from __future__ import annotations

import copy

import onnx
import pytest
import torch
from torch import nn

from hwprune.channels.base import make_base
from hwprune.errors import NetworkError
from hwprune.network.cut_module import cut_module
from hwprune.network.graph_module import to_module, to_onnx
from hwprune.network.trace import trace
from hwprune_device.cut import Cutter
from tests.channels.small_graphs import conv_net
from tests.traced import NETWORKS, random_keep, random_widths, relative, run_onnx, traced


@pytest.mark.parametrize("name", NETWORKS)
def test_twin_of_a_cut_graph_equals_the_cut_module_and_the_runtime(name: str) -> None:
    network = traced(name)
    keep = random_keep(network.base, 7, least=0.1)
    model = Cutter(network.base.onnx, network.base.plan).cut(keep)
    twin = to_module(model)
    with torch.no_grad():
        given = twin(network.example).numpy()
        expected = cut_module(network.module, network.base.plan, keep)(network.example).numpy()
    assert relative(given, expected) < 1e-5
    assert relative(given, run_onnx(model, network.example)) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_state_dict_is_the_users(name: str) -> None:
    network = traced(name)
    twin = to_module(network.base.onnx)
    users = network.module.state_dict()
    assert set(twin.state_dict()) == set(users)
    assert all(torch.equal(value, users[key]) for key, value in twin.state_dict().items())
    assert set(dict(twin.named_parameters())) == set(dict(network.module.named_parameters()))


def _layers(module: nn.Module) -> dict[str, str]:
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    return {name: repr(m) for name, m in module.named_modules() if isinstance(m, kinds)}


@pytest.mark.parametrize("name", ["cifar_resnet20", "short_mobilenet", "flatten_vgg"])
def test_layers_are_the_users(name: str) -> None:
    network = traced(name)
    assert _layers(to_module(network.base.onnx)) == _layers(network.module)


def test_one_training_step_is_the_same_as_the_modules() -> None:
    """Batch statistics, gradients and running averages agree, at a batch that was not traced."""
    network = traced("cifar_resnet20")
    data, labels = torch.randn(5, 3, 32, 32), torch.arange(5)
    states = []
    for module in (to_module(network.base.onnx).double(), copy.deepcopy(network.module).double()):
        optimizer = torch.optim.SGD(module.train().parameters(), lr=0.1, momentum=0.9)
        for _ in range(2):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(data.double()), labels).backward()
            optimizer.step()
        states.append(module.state_dict())
    assert all(torch.allclose(states[0][key], states[1][key]) for key in states[1])


def test_deep_copy_is_independent() -> None:
    twin = to_module(traced("digits_cnn").base.onnx)
    copied = copy.deepcopy(twin)
    with torch.no_grad():
        copied.conv1.weight.zero_()
    assert twin.conv1.weight.abs().sum() > 0


@pytest.mark.parametrize("name", ["cifar_resnet20", "short_mobilenet"])
def test_channels_last_and_bf16_work(name: str) -> None:
    network = traced(name)
    twin = to_module(network.base.onnx)
    with torch.no_grad():
        expected = twin(network.example)
        twin.to(memory_format=torch.channels_last)
        data = network.example.to(memory_format=torch.channels_last)
        assert relative(twin(data).numpy(), expected.numpy()) < 1e-4
        with torch.autocast("cpu", torch.bfloat16):
            given = twin(data).float()
    assert relative(given.numpy(), expected.numpy()) < 0.1


@pytest.mark.parametrize("name", ["cifar_resnet20", "short_mobilenet"])
def test_no_tensor_stays_behind_when_the_twin_moves(name: str) -> None:
    """The meta device stands for any other: an operation with a tensor left on the CPU fails."""
    twin = to_module(traced(name).base.onnx).to("meta")
    assert twin(traced(name).example.to("meta")).device.type == "meta"
    assert {t.device.type for t in (*twin.parameters(), *twin.buffers())} == {"meta"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["cifar_resnet20", "short_mobilenet"])
def test_twin_moves_to_cuda(name: str) -> None:
    network = traced(name)
    twin = to_module(network.base.onnx).double()
    data = network.example.double()
    with torch.no_grad():
        expected = twin(data).numpy()
        assert relative(twin.cuda()(data.cuda()).cpu().numpy(), expected) < 1e-9


def test_weights_come_back_into_the_graph() -> None:
    network = traced("digits_cnn")
    model = Cutter(network.base.onnx, network.base.plan).cut_to(random_widths(network.base, 5))
    twin = to_module(model).train()
    twin(network.example).square().sum().backward()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter -= 0.01 * parameter.grad
        expected = twin.eval()(network.example).numpy()
    trained = to_onnx(twin, model)
    onnx.checker.check_model(trained, full_check=True)
    assert relative(run_onnx(trained, network.example), expected) < 1e-5
    assert relative(run_onnx(model, network.example), expected) > 1e-3


def test_doubles_come_back_with_all_their_digits() -> None:
    module = nn.Linear(2, 2).double()
    with torch.no_grad():
        module.weight.fill_(1 / 3)
    model = trace(module, torch.zeros(1, 2, dtype=torch.double))
    back = onnx.load_model_from_string(to_onnx(to_module(model), model))
    (weight,) = (t for t in back.graph.initializer if t.name == "weight")
    assert (onnx.numpy_helper.to_array(weight) == 1 / 3).all()


def test_weights_of_another_cut_are_refused() -> None:
    network = traced("digits_cnn")
    model = Cutter(network.base.onnx, network.base.plan).cut_to(random_widths(network.base, 5))
    with pytest.raises(NetworkError, match=r"'conv1.weight' does not fit the graph"):
        to_onnx(network.module, model)
    with pytest.raises(NetworkError, match="has no weight"):
        to_onnx(nn.Linear(2, 2), model)


def test_op_without_twin_is_named() -> None:
    proto = onnx.load_model_from_string(
        conv_net("z = LRN<size=3>(a)", {"last.weight": (4, 8, 1, 1)})
    )
    proto.graph.node[1].domain = "some.vendor"
    proto.opset_import.append(onnx.helper.make_opsetid("some.vendor", 1))
    with pytest.raises(NetworkError, match="op LRN"):
        to_module(proto.SerializeToString())


BODIES = {
    "slices": (
        "s = Constant<value_ints=[2, 1]>() e = Constant<value_ints=[8, -1]>()"
        " o = Constant<value_ints=[1, 2]>() z = Slice(a, s, e, o)",
        6,
    ),
    "split": ("b, c = Split<axis=1, num_outputs=2>(a) z = Mul(b, c)", 4),
    "shuffle": (
        "s = Constant<value_ints=[0, 2, 4, 8, 8]>() b = Reshape(a, s)"
        " c = Transpose<perm=[0,2,1,3,4]>(b) t = Constant<value_ints=[0, 8, 8, 8]>()"
        " z = Reshape(c, t)",
        8,
    ),
    "uneven padding": (
        "p = Constant<value_ints=[0, 1, 0, 2, 0, 0, 1, 0]>() z = Pad(a, p)",
        9,
    ),
    "scalars": (
        "h = Constant<value_float=0.5>() b = Mul(a, h) c = Add(b, h) d = Sub(h, c) z = Div(d, h)",
        8,
    ),
    "activations": (
        "b = HardSigmoid<alpha=0.3>(a) c = LeakyRelu<alpha=0.2>(a) d = Gelu(a) e = HardSwish(a)"
        " f = Sum(b, c, d, e) z = Elu<alpha=0.7>(f)",
        8,
    ),
    "clip": (
        "l = Constant<value_float=-0.2>() h = Constant<value_float=0.4>() z = Clip(a, l, h)",
        8,
    ),
    "pools": (
        "b = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,0,0]>(a)"
        " c = AveragePool<kernel_shape=[3,3], strides=[1,1], pads=[1,1,1,1]>(b)"
        " o = Constant<value_ints=[2, 3]>() d = ReduceMean(a, o) z = Add(c, d)",
        8,
    ),
    "squeeze": (
        "b = GlobalAveragePool(a) o = Constant<value_ints=[2, 3]>() c = Squeeze(b, o)"
        " d = Softmax<axis=1>(c) z = Unsqueeze(d, o)",
        8,
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_op_computes_what_the_runtime_computes(case: str) -> None:
    body, channels = BODIES[case]
    model = make_base(conv_net(body, {"last.weight": (4, channels, 1, 1)})).onnx
    data = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert relative(to_module(model)(data).numpy(), run_onnx(model, data)) < 1e-5
