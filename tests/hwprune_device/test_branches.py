"""A group of width 0: its branch goes, shapes around it stay, and the rest computes the same."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.network.branch_check import trusted_branches
from hwprune.network.comparison import difference
from hwprune.network.graph_module import to_module
from hwprune.network.silencing import silenced_module
from hwprune_device.cut import Cutter
from tests.channels.small_graphs import conv_net
from tests.traced import random_keep, traced


def kept(base: BaseNetwork, *gone: int) -> list[np.ndarray]:
    """A random half of each group, and none of those that go."""
    keep = random_keep(base, 3)
    for group in gone:
        keep[group] = keep[group][:0]
    return keep


def named(base: BaseNetwork, groups: tuple[int, ...]) -> list[str]:
    return [base.plan.groups[group].name for group in groups]


@pytest.mark.parametrize(
    ("name", "removable"),
    [
        ("digits_cnn", ["block1.conv1", "block2.conv1"]),
        ("cifar_resnet20", [f"layer{k}.{n}.conv1" for k in (1, 2, 3) for n in (0, 1, 2)]),
        ("flatten_vgg", []),
    ],
)
def test_branches_of_residual_sums_can_go_and_trunks_cannot(name: str, removable: list) -> None:
    base = traced(name).base
    assert named(base, base.removable) == removable
    assert trusted_branches(base) == base.removable


@pytest.mark.parametrize(
    "name",
    ["digits_cnn", "cifar_resnet20", pytest.param("mobilenet_v2", marks=pytest.mark.heavy)],
)
def test_what_is_left_computes_what_the_silenced_network_computes(name: str) -> None:
    network = traced(name)
    base = network.base
    for gone in (base.removable[:1], base.removable[1::2], base.removable):
        keep = kept(base, *gone)
        cut = Cutter(base.onnx, base.plan).cut(keep)
        with torch.inference_mode():
            given = to_module(cut)(network.example)
            expected = silenced_module(base.onnx, base.plan, keep)(network.example)
        assert difference([given], [expected]) < 1e-4


def test_costs_and_hash_are_those_of_the_cut_network() -> None:
    base = traced("cifar_resnet20").base
    keep = kept(base, *base.removable[::2])
    widths = [len(units) for units in keep]
    cut = Cutter(base.onnx, base.plan).cut(keep)
    again = make_base(cut)
    assert base.architecture_of(widths) == again.architecture
    assert base.cost_model.macs(widths) == again.cost_model.macs(again.widths)
    assert base.cost_model.params(widths) == again.cost_model.params(again.widths)
    assert base.architecture_of(widths) != base.architecture_of([w or 1 for w in widths])


def test_what_is_left_of_a_branch_is_trained_like_a_bias() -> None:
    base = traced("cifar_resnet20").base
    keep = kept(base, base.removable[0])
    left = to_module(Cutter(base.onnx, base.plan).cut(keep))
    names = {name for name, _ in left.named_parameters()}
    assert "layer1.0.conv2.bias" in names and "layer1.0.conv2.weight" not in names
    assert not any(name.startswith("layer1.0.bn2") for name in names)


def test_the_weights_of_an_attention_gate_can_go() -> None:
    body = (
        "p = GlobalAveragePool(a) q = Conv(p, down.weight) r = Relu(q) s = Conv(r, up.weight)"
        " t = Sigmoid(s) z = Mul(a, t)"
    )
    shapes = {"down.weight": (5, 8, 1, 1), "up.weight": (8, 5, 1, 1), "last.weight": (4, 8, 1, 1)}
    base = make_base(conv_net(body, shapes))
    assert named(base, trusted_branches(base)) == ["down"]
    ops = [
        node.op_type
        for node in onnx.load_model_from_string(
            Cutter(base.onnx, base.plan).cut(kept(base, *base.removable))
        ).graph.node
    ]
    assert ops == ["Conv", "Mul", "Conv"]


@pytest.mark.parametrize(
    "body",
    [
        "b = Conv(a, mid.weight) c = Conv(b, end.weight) d = MaxPool<kernel_shape=[1,1]>(c)"
        " z = Add(a, d)",
        "b = Conv(a, mid.weight) c = Conv(b, end.weight) z = Concat<axis=1>(c, c)",
        "b = Conv(a, mid.weight) z = Conv(b, end.weight)",
        "b = Conv(a, mid.weight) c = Conv(b, end.weight) p = Relu(place.weight) z = Add(c, p)",
    ],
    ids=["pooled before the sum", "joined by a concat", "in the trunk", "what no batch has"],
)
def test_what_needs_its_places_stays(body: str) -> None:
    wide = 16 if "Concat" in body else 8
    shapes = {
        "mid.weight": (6, 8, 1, 1),
        "end.weight": (8, 6, 1, 1),
        "last.weight": (4, wide, 1, 1),
        "place.weight": (1, 8, 8, 8),
    }
    shapes = {name: shape for name, shape in shapes.items() if name in body or "last" in name}
    base = make_base(conv_net(body, shapes))
    assert base.removable == ()
    number = [group.name for group in base.plan.groups].index("mid")
    with pytest.raises(ValueError, match="can go as a whole: mid"):
        Cutter(base.onnx, base.plan).cut(kept(base, number))
