"""The cut on the user's own class: right, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwprune.channels.base import make_base
from hwprune.errors import NetworkError
from hwprune.network.cut_module import cut_module
from hwprune.network.graph_module import to_module
from hwprune.network.trace import trace
from hwprune_device.cut import Cutter
from tests.traced import NETWORKS, random_keep, traced


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_say_the_sizes_they_have(name: str) -> None:
    network = traced(name)
    cut = cut_module(network.module, network.base.plan, random_keep(network.base, 1))
    for layer in cut.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.shape[:2] == (
                layer.out_channels,
                layer.in_channels // layer.groups,
            )
        elif isinstance(layer, nn.Linear):
            assert layer.weight.shape == (layer.out_features, layer.in_features)
        elif isinstance(layer, nn.BatchNorm2d):
            assert len(layer.running_mean) == len(layer.weight) == layer.num_features


def test_original_is_untouched() -> None:
    network = traced("cifar_resnet20")
    before = {key: value.clone() for key, value in network.module.state_dict().items()}
    cut_module(network.module, network.base.plan, random_keep(network.base, 2))
    assert all(torch.equal(before[k], v) for k, v in network.module.state_dict().items())


def test_padded_shortcut_takes_its_new_numbers() -> None:
    network = traced("cifar_resnet20")
    keep = [np.arange(group.width) for group in network.base.plan.groups]
    names = [group.name for group in network.base.plan.groups]
    keep[names.index("layer2.0.conv2[0:8]")] = np.array([1, 5])
    cut = cut_module(network.module, network.base.plan, keep)
    assert (cut.layer2[0].shortcut.before, cut.layer2[0].shortcut.after) == (2, 8)
    assert cut(network.example).shape == (2, 10)


class _Written(nn.Module):
    """Channel counts written into forward(), as many networks have them."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 12, 3, padding=1)
        self.last = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = self.first(x)
        long = self.second(F.relu(short))
        if self.how == "pad":
            long = long + F.pad(short, (0, 0, 0, 0, 0, 4))
        pooled = long.mean((2, 3))
        return self.last(pooled.view(-1, 12) if self.how == "view" else pooled)


def _cut(module: nn.Module, first: int, second: int, **options: torch.Tensor) -> nn.Module:
    base = make_base(trace(module, torch.randn(1, 3, 8, 8)))
    sizes = {"first": first, "second": second}
    keep = [np.arange(sizes.get(group.name, group.width)) for group in base.plan.groups]
    return cut_module(module, base.plan, keep, **options)


def test_number_in_the_code_is_refused_with_the_layer_and_a_way_out() -> None:
    module = nn.Sequential(_Written("pad"), nn.Identity())
    base = make_base(trace(module, torch.randn(1, 3, 8, 8)))
    keep = [np.arange(1) for _ in base.plan.groups]
    with pytest.raises(NetworkError, match=r"in the code of layer '0' must change") as caught:
        cut_module(module, base.plan, keep)
    assert "to_module" in caught.value.possible


def test_number_in_the_code_that_does_not_change_is_no_obstacle() -> None:
    module = _Written("pad")
    base = make_base(trace(module, torch.randn(1, 3, 8, 8)))
    keep = [np.arange(3 if group.name == "first" else group.width) for group in base.plan.groups]
    assert cut_module(module, base.plan, keep, example=torch.randn(2, 3, 8, 8))


def test_view_that_no_longer_fits_is_found_by_running_the_example() -> None:
    with pytest.raises(NetworkError, match="cut module does not run"):
        _cut(_Written("view"), 8, 5, example=torch.randn(2, 3, 8, 8))
    assert _cut(_Written("plain"), 2, 5, example=torch.randn(2, 3, 8, 8))


def test_plan_of_another_network_is_refused() -> None:
    network = traced("cifar_resnet20")
    with pytest.raises(NetworkError, match="has no weight"):
        cut_module(traced("digits_cnn").module, network.base.plan, random_keep(network.base, 0))


def test_shared_weight_stays_shared() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter = nn.Conv2d(3, 6, 1)
            self.one = nn.Conv2d(6, 6, 3, padding=1)
            self.two = nn.Conv2d(6, 6, 3, padding=1)
            self.two.weight = self.one.weight
            self.leave = nn.Conv2d(6, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.leave(F.relu(self.two(F.relu(self.one(self.enter(x))))))

    module = Tied()
    base = make_base(trace(module, torch.randn(1, 3, 8, 8)))
    cut = cut_module(module, base.plan, random_keep(base, 3), example=torch.randn(1, 3, 8, 8))
    assert cut.one.weight is cut.two.weight


class _Spoken(nn.Module):
    """Two layers of a recurrent module, as networks for speech have them."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.first = nn.Conv1d(6, 8, 3, padding=1)
        self.heard = kind(8, 12, num_layers=2, batch_first=True, bidirectional=True)
        self.last = nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.heard(F.relu(self.first(x)).transpose(1, 2))
        return self.last(states[:, -1])


@pytest.mark.parametrize("kind", [nn.LSTM, pytest.param(nn.GRU, marks=pytest.mark.heavy)])
def test_hidden_units_of_recurrent_modules_are_cut_alike_in_all_layers(kind) -> None:
    module, example = _Spoken(kind).eval(), torch.randn(2, 6, 9)
    base = make_base(trace(module, example))
    assert [group.width for group in base.plan.groups] == [8, 12, 12]
    keep = [np.array([0, 2, 5]), *[np.array([1, 4, 6, 7, 11])] * 2]
    cut = cut_module(module, base.plan, keep, example=example)
    assert (cut.heard.input_size, cut.heard.hidden_size) == (3, 5)
    twin = to_module(Cutter(base.onnx, base.plan).cut(keep))
    with torch.inference_mode():
        torch.testing.assert_close(cut(example), twin(example), rtol=1e-4, atol=1e-5)
    keep[2] = np.arange(3)
    with pytest.raises(NetworkError, match="cut to different widths"):
        cut_module(module, base.plan, keep, example=example)
