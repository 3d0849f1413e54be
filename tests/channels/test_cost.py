"""Costs from widths equal costs counted on the network that was really cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwprune.channels.base import make_base
from hwprune.channels.cost import FEATURES
from hwprune.layer import channels
from hwprune.network.cut_module import cut_module
from hwprune.network.trace import trace
from tests.channels.small_graphs import parsed
from tests.traced import NETWORKS, random_keep, traced
from tests.unusual import UNUSUAL


def _counted_macs(module: nn.Module, data: torch.Tensor) -> int:
    """Multiply-accumulates of convolutions and linear layers, counted while the module runs."""
    total = 0

    def count(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal total
        weight: torch.Tensor = layer.weight  # type: ignore[assignment]
        positions = out[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1
        total += weight.numel() * positions

    handles = [
        layer.register_forward_hook(count)
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        module.eval()(data[:1])
    for handle in handles:
        handle.remove()
    return total


@pytest.mark.parametrize("name", NETWORKS)
def test_macs_and_params_are_those_of_the_cut_module(name: str) -> None:
    network = traced(name)
    keep = random_keep(network.base, 3)
    widths = [len(units) for units in keep]
    module = cut_module(network.module, network.base.plan, keep)
    model = network.base.cost_model
    assert model.params(widths) == sum(p.numel() for p in module.parameters())
    assert model.macs(widths) == _counted_macs(module, network.example)


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_add_up_to_the_macs_at_any_widths(name: str) -> None:
    base = traced(name).base
    widths = [len(units) for units in random_keep(base, 4)]
    layers = base.cost_model.layers()
    outputs = channels([layer.outputs for layer in layers], np.array([widths]))[0]
    inputs = channels([layer.inputs for layer in layers], np.array([widths]))[0]
    each = [layer.positions * layer.kernel for layer in layers]
    assert (each * outputs * inputs).sum() == base.cost_model.macs(widths)


def test_group_costs_are_what_goes_with_the_group() -> None:
    base = traced("digits_cnn").base
    first = base.cost_model.group_costs()[0]
    assert (first.name, first.width) == ("conv1", 24)
    # 23 filters of 1x3x3, their BatchNorm pairs, and what conv2's 48 filters read of them.
    assert first.params == 23 * 9 + 23 * 2 + 23 * 48 * 9
    assert first.macs == 64 * (23 * 9 + 23 * 48 * 9)


@pytest.mark.parametrize("name", ["digits_cnn", "cifar_resnet20", "short_mobilenet"])
def test_features_are_bounded_and_tell_groups_apart(name: str) -> None:
    base = traced(name).base
    features = base.cost_model.features()
    assert features.shape == (len(base.plan.groups), len(FEATURES))
    assert features.dtype == np.float32
    assert np.isfinite(features).all() and np.abs(features).max() <= 1.5
    assert len(np.unique(features, axis=0)) > len(base.plan.groups) // 2


def test_linear_layers_over_tokens_count_once_a_token() -> None:
    make, (words,) = UNUSUAL["encoder"]
    torch.manual_seed(0)
    module = make().eval()
    counted: list[int] = []

    def count(layer: nn.Linear, given: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
        tokens = given[0][:1].numel() // layer.in_features
        counted.append(tokens * layer.in_features * layer.out_features)

    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(count)
    base = make_base(trace(module, words))
    counted.clear()
    module(words)
    assert base.cost_model.macs(base.widths) == sum(counted)


def test_a_layer_whose_size_hangs_on_the_input_is_named_and_not_counted() -> None:
    body = "i = NonZero(x) t = Transpose(i) f = Cast<to=1>(t) y = MatMul(f, w)"
    base = make_base(parsed(f"g (float[N,6] x) => (float[M,4] y) {{ {body} }}", {"w": (2, 4)}))
    assert base.cost_model.uncounted == ("w",)
    assert base.cost_model.macs(base.widths) == 0 and base.cost_model.params(base.widths) == 8


@pytest.mark.parametrize("name", NETWORKS)
def test_the_form_is_the_count_at_any_widths(name: str) -> None:
    base = traced(name).base
    rows = np.array([[len(units) for units in random_keep(base, seed)] for seed in range(4)])
    for quantity, count in (("params", base.cost_model.params), ("macs", base.cost_model.macs)):
        form = base.cost_model.form(quantity)
        assert form is not None and form.exact
        assert form.terms(rows)[:, 0].tolist() == [count(row) for row in rows.tolist()]


def test_a_network_of_which_nothing_is_counted_has_no_form() -> None:
    class Letters(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.einsum("nc,ck->nk", x, self.weight)

    cost = make_base(trace(Letters().eval(), torch.zeros(1, 8))).cost_model
    assert cost.macs(()) == 0
    assert cost.form("macs") is None
    assert cost.form("params") is not None
