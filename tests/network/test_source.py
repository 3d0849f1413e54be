from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from hwprune.errors import NetworkError
from hwprune.network.source import load_network
from hwprune.network.trace import trace
from tests.digits import digit_example, digit_images, digits_module


def test_torchvision_networks_get_the_datas_classes():
    module = load_network("torchvision:squeezenet1_1", num_classes=7)
    assert module(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    assert not module.training


def test_an_untrained_network_is_the_same_each_time():
    first, second = (load_network("hwprune.network.zoo:digits_cnn") for _ in range(2))
    other = load_network("hwprune.network.zoo:digits_cnn", seed=1)
    assert torch.equal(first.conv1.weight, second.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


@pytest.mark.parametrize("form", ["plain", "nested", "data_parallel", "safetensors"])
def test_weights_are_found_in_the_forms_that_training_scripts_leave(form, tmp_path):
    source = load_network("hwprune.network.zoo:digits_cnn", seed=3)
    state = source.state_dict()
    file = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, file)
    elif form == "data_parallel":
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, file)
    else:
        torch.save({"model": state, "best": 0.9} if form == "nested" else state, file)
    module = load_network("hwprune.network.zoo:digits_cnn", weights=file, num_classes=10)
    assert all(torch.equal(state[k], v) for k, v in module.state_dict().items())


def test_an_onnx_file_is_a_network(tmp_path):
    module = digits_module().eval()
    (tmp_path / "net.onnx").write_bytes(trace(module, digit_example()))
    again = load_network(str(tmp_path / "net.onnx"))
    images = digit_images("test", 16)
    with torch.no_grad():
        assert torch.allclose(again(images), module(images), atol=1e-4)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("torchvision:resnt18", "resnet18"),
        ("torchvision:resnet18:BEST", "IMAGENET1K_V1"),
        ("torchvision:resnet18:DEFAULT", "1000 classes"),
        ("resnet18", "package.module:function"),
        ("no_such_package.nets:make", "cannot be imported"),
        ("hwprune.network.zoo:cifar_resnet57", "cifar_resnet56"),
        ("hwprune.network.zoo:BasicBlock", "fails when it is called"),
        ("hwprune.errors:NetworkError", "fails when it is called"),
        ("builtins:dict", "must return a torch module"),
        ("nowhere.onnx", "not there"),
        ("nowhere.py:make", "no file"),
    ],
)
def test_a_network_that_cannot_be_had_says_why_and_what_is_possible(source, said):
    with pytest.raises(NetworkError) as caught:
        load_network(source, num_classes=10)
    assert said in str(caught.value)


def test_weights_that_cannot_be_downloaded_say_where_they_would_lie(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(NetworkError) as caught:
        load_network("torchvision:squeezenet1_1:DEFAULT")
    assert str(tmp_path) in str(caught.value) and "squeezenet1_1-" in str(caught.value)


def test_weights_of_another_network_name_the_keys(tmp_path):
    file = tmp_path / "w.pth"
    state = digits_module().state_dict()
    state["linear.bias"] = torch.zeros(3)
    state["extra.weight"] = state.pop("conv1.weight")
    torch.save(state, file)
    with pytest.raises(NetworkError) as caught:
        load_network("hwprune.network.zoo:digits_cnn", weights=file)
    for name in ("conv1.weight", "extra.weight", "linear.bias: file [3], network [10]"):
        assert name in str(caught.value)


class Anything:
    """What a pickle may hold beside tensors."""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Anything(), "cannot be loaded safely"),
        ({"epoch": 3}, "no state dict"),
        (b"not a torch file", "cannot be"),
    ],
)
def test_a_file_without_plain_weights_is_refused(content, said, tmp_path):
    file = tmp_path / "w.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(NetworkError, match=said):
        load_network("hwprune.network.zoo:digits_cnn", weights=file)


def test_a_missing_weights_file_names_its_neighbours(tmp_path):
    (tmp_path / "best.pth").touch()
    with pytest.raises(NetworkError, match=r"best\.pth"):
        load_network("hwprune.network.zoo:digits_cnn", weights=tmp_path / "bets.pth")
