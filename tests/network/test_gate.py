"""The gate finds a plan that is wrong, names the group, and lets right plans pass."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from onnx import load_model_from_string
from torch import nn

from hwprune.channels.analysis import analyse
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.channels.rules.registry import RULES
from hwprune.errors import NetworkError
from hwprune.network import drawing
from hwprune.network.drawing import draw
from hwprune.network.gate import check_cut, trusted_base
from hwprune.network.silencing import silenced
from hwprune.network.trace import trace
from hwprune.network.trial import Trial
from hwprune_device.plan import CutPlan
from tests.channels.small_graphs import conv_net
from tests.network.test_coverage import case
from tests.traced import traced


@pytest.mark.parametrize("name", ["digits_cnn", "cifar_resnet20", "short_mobilenet"])
def test_right_plans_pass(name: str) -> None:
    network = traced(name)
    assert check_cut(network.base, network.module) == ()


def _with_plan(base: BaseNetwork, plan: CutPlan) -> BaseNetwork:
    return dataclasses.replace(base, plan=plan)


def test_forgotten_axis_is_found() -> None:
    base = traced("digits_cnn").base
    axes = tuple(a for a in base.plan.axes if a.initializer != "block1.conv2.weight")
    assert "block1.conv1" in check_cut(_with_plan(base, dataclasses.replace(base.plan, axes=axes)))


def test_where_memory_is_short_groups_are_seen_without_slopes(monkeypatch) -> None:
    monkeypatch.setattr(drawing, "_LONG_MACS", 0)
    monkeypatch.setattr(drawing, "_SHARE", 0.0)
    base = case("unet").base
    assert draw(base, 0).influence == {}
    assert check_cut(base) == ()
    axes = tuple(axis for axis in base.plan.axes if axis != base.plan.axes[1])
    wrong = dataclasses.replace(base, plan=dataclasses.replace(base.plan, axes=axes))
    assert check_cut(wrong) != ()


def test_crossed_channels_of_equal_shape_are_found() -> None:
    """Two groups of one width whose readers are swapped: shapes fit, numbers are wrong."""
    shapes = {"up.weight": (8, 8, 1, 1), "last.weight": (4, 16, 1, 1)}
    model = conv_net("b = Conv(a, up.weight) c = Relu(a) z = Concat<axis=1>(b, c)", shapes)
    base = trusted_base(model, ())[0]
    last = next(a for a in base.plan.axes if a.initializer == "last.weight")
    crossed = dataclasses.replace(last, spans=last.spans[::-1])
    axes = tuple(crossed if a is last else a for a in base.plan.axes)
    assert check_cut(_with_plan(base, dataclasses.replace(base.plan, axes=axes)))


def test_failing_groups_are_left_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that lets channels pass where they are mixed is caught before any search."""
    monkeypatch.setitem(RULES, "ReduceMean", _careless_mean)
    body = (
        "o = Constant<value_ints=[1]>() m = ReduceMean(a, o) b = Sub(a, m) z = Conv(b, mid.weight)"
    )
    model = conv_net(body, {"mid.weight": (6, 8, 1, 1), "last.weight": (4, 6, 1, 1)})
    base, ignored, record = trusted_base(model)
    assert record.failed == ("first",) and record.worst_error < 1e-8
    assert ignored == ("first",)
    assert [group.name for group in base.plan.groups] == ["mid"]
    assert any("kept whole" in reason for _, reason in base.plan.frozen)


def _careless_mean(walk, node) -> None:  # type: ignore[no-untyped-def]
    walk.axes(node.input[0])
    walk.give(node.output[0], (None, None, None, None))


def test_a_fault_in_a_path_that_others_drown_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With plain random weights the branch is a billionth of the trunk, and so is its error."""
    monkeypatch.setitem(RULES, "InstanceNormalization", _careless_norm)
    blocks = 40
    trunk = " ".join(
        f"b{k} = Conv({f'a{k}' if k else 'a'}, w{k}) a{k + 1} = Add({f'a{k}' if k else 'a'}, b{k})"
        for k in range(blocks)
    )
    branch = (
        f" s = Constant<value_ints=[0, 1, -1]>() c = Reshape(a{blocks}, s)"
        " d = InstanceNormalization(c, ones, zeros)"
        " t = Constant<value_ints=[0, 8, 8, 8]>() e = Reshape(d, t) f = Conv(e, mid.weight)"
    )
    shapes = {f"w{k}": (8, 8, 1, 1) for k in range(blocks)}
    shapes |= {
        "ones": (1,),
        "zeros": (1,),
        "mid.weight": (8, 8, 1, 1),
        "last.weight": (4, 8, 1, 1),
    }
    base = make_base(conv_net(f"{trunk}{branch} z = Add(a{blocks}, f)", shapes))
    assert check_cut(base) == ("first",)


def _careless_norm(walk, node) -> None:  # type: ignore[no-untyped-def]
    walk.give(node.output[0], walk.axes(node.input[0]))


def test_what_hardly_moves_the_outputs_is_left_whole_and_named() -> None:
    """A constant makes a branch too small for any weights to be seen behind it."""
    body = (
        "b = Conv(a, mid.weight) c = Conv(b, up.weight)"
        " k = Constant<value_float=1.0e-9>() d = Mul(c, k) z = Add(a, d)"
    )
    shapes = {"mid.weight": (6, 8, 1, 1), "up.weight": (8, 6, 1, 1), "last.weight": (4, 8, 1, 1)}
    base, left, record = trusted_base(conv_net(body, shapes))
    assert record.failed == () and "mid" in record.unjudged and set(left) == set(record.unjudged)
    assert "mid" not in [group.name for group in base.plan.groups]
    assert "hardly moves the outputs" in record.left_whole["mid"]


def test_every_layer_of_a_deep_network_is_seen() -> None:
    """A bias of keys is not, which softmax takes away: no reason to leave heads whole."""
    base = case("encoder").base
    drawing = draw(base, 0)
    moved = {base.plan.axes[axis].initializer: by for (axis, _), by in drawing.influence.items()}
    assert moved.pop("blocks.0.key.bias") < 1e-14 and moved.pop("blocks.1.key.bias") < 1e-14
    assert min(moved.values()) > 1e-4
    assert trusted_base(base.onnx)[1] == ()


def test_one_fault_costs_few_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    base = traced("cifar_resnet20").base
    lost = ("layer2.1.conv2.weight", 1)
    axes = tuple(a for a in base.plan.axes if (a.initializer, a.axis) != lost)
    wrong = _with_plan(base, dataclasses.replace(base.plan, axes=axes))
    tried: list[tuple[int, ...]] = []
    error = Trial._error
    monkeypatch.setattr(Trial, "_error", lambda t, key: (tried.append(key), error(t, key))[1])
    assert check_cut(wrong, seeds=(0,)) == ("layer2.1.conv1",)
    halvings = int(np.ceil(np.log2(len(base.plan.groups))))
    assert sum(len(key) != len(base.plan.groups) - 1 for key in tried) <= 1 + halvings


def test_ignored_layers_are_left_whole_by_pattern() -> None:
    model = traced("cifar_resnet20").base.onnx
    base, ignored, _ = trusted_base(model, ("layer1.*.conv1", "layer3.2.bn1"))
    assert set(ignored) == {"layer1.0.conv1", "layer1.1.conv1", "layer1.2.conv1", "layer3.2.conv1"}
    assert base.plan == analyse(load_model_from_string(base.onnx), ignore=ignored)


def test_module_that_is_not_the_graph_is_refused() -> None:
    network = traced("digits_cnn")
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(NetworkError, match="does not compute what the module computes"):
        check_cut(network.base, other)


def test_silenced_channels_are_zero_after_their_norm() -> None:
    from hwprune.network.graph_module import to_module

    network = traced("digits_cnn")
    keep = [np.arange(group.width) for group in network.base.plan.groups]
    keep[0] = np.array([0, 3])
    module = to_module(silenced(network.base.onnx, network.base.plan, keep))
    seen: list[torch.Tensor] = []
    module.bn1.register_forward_hook(lambda *args: seen.append(args[2]))
    module(network.example)
    alive = seen[0].abs().sum((0, 2, 3)) > 0
    assert alive.nonzero().flatten().tolist() == [0, 3]


class _Scaled(nn.Module):
    """A block whose own scale starts near zero and stays whole, as that of a ConvNeXt's end."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(3, 12, 1), nn.Conv2d(12, 3, 1)
        self.scale = nn.Parameter(torch.full((3, 1, 1), 1e-7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.scale * self.narrow(torch.relu(self.wide(x)))


def test_a_scale_near_zero_hides_no_group() -> None:
    base = make_base(trace(_Scaled().eval(), torch.zeros(1, 3, 8, 8)))
    assert base.widths == (12,) and check_cut(base) == ()


class _Spatial(nn.Module):
    """Half of the channels gates the others after a layer over tokens that starts near zero."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow, self.norm = nn.Linear(6, 24), nn.Linear(12, 6), nn.LayerNorm(12)
        self.tokens = nn.Linear(8, 8)
        nn.init.normal_(self.tokens.weight, std=1e-9)
        nn.init.ones_(self.tokens.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        data, gate = torch.nn.functional.gelu(self.wide(x)).chunk(2, dim=-1)
        return self.narrow(data * self.tokens(self.norm(gate).mT).mT)


def test_a_layer_near_zero_hides_no_group() -> None:
    base = make_base(trace(_Spatial().eval(), torch.zeros(1, 8, 6)))
    assert base.widths == (12,) and check_cut(base) == ()
