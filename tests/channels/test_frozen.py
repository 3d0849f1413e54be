"""What must not be cut is left whole with a reason."""

from __future__ import annotations

import pytest

from hwprune.channels.base import make_base
from hwprune.network.gate import check_cut
from tests.channels.small_graphs import conv_net, widths_by_group

STAY = {
    "unknown op": ("z = LRN<size=3>(a)", {"last.weight": (4, 8, 1, 1)}, "no rule for op LRN"),
    "softmax over channels": (
        "z = Softmax<axis=1>(a)",
        {"last.weight": (4, 8, 1, 1)},
        "mixes all its channels",
    ),
    "maximum over channels by number": (
        "b = ArgMax<axis=1>(a) z = Cast<to=1>(b)",
        {"last.weight": (4, 1, 1, 1)},
        "compares channels",
    ),
    "every second channel": (
        "s = Constant<value_ints=[0]>() e = Constant<value_ints=[8]>()"
        " o = Constant<value_ints=[1]>() k = Constant<value_ints=[2]>() z = Slice(a, s, e, o, k)",
        {"last.weight": (4, 4, 1, 1)},
        "slices channels with a step",
    ),
    "channels picked by number": (
        "i = Constant<value_ints=[7, 0, 2]>() z = Gather<axis=1>(a, i)",
        {"last.weight": (4, 3, 1, 1)},
        "picks channels by number",
    ),
    "channels turned into height": (
        "s = Constant<value_ints=[0, 1, 8, 64]>() b = Reshape(a, s) c = Conv(b, mid.weight)"
        " t = Constant<value_ints=[0, 8, 8, 8]>() z = Reshape(c, t)",
        {"mid.weight": (1, 1, 1, 1), "last.weight": (4, 8, 1, 1)},
        "slides over channels",
    ),
    "channels turned into a batch": (
        "s = Constant<value_ints=[-1, 1, 8, 8]>() b = Reshape(a, s) c = Conv(b, mid.weight)"
        " t = Constant<value_ints=[-1, 8, 8, 8]>() z = Reshape(c, t)",
        {"mid.weight": (1, 1, 1, 1), "last.weight": (4, 8, 1, 1)},
        "takes channels for a batch",
    ),
    "channels turned into places to sample at": (
        "s = Constant<value_ints=[0, 64, 4, 2]>() b = Reshape(a, s) z = GridSample(x, b)",
        {"last.weight": (4, 3, 1, 1)},
        "takes channels for something else",
    ),
    "value that a branch takes from outside": (
        "m = ReduceMax<keepdims=0>(x) k = Constant<value_float=0.0>() c = Greater(m, k)"
        " z = If (c) <then_branch = g1 () => (float[N,8,8,8] t) { t = Relu(a) },"
        " else_branch = g2 () => (float[N,8,8,8] e) { e = Neg(a) }>",
        {"last.weight": (4, 8, 1, 1)},
        "no rule for op If",
    ),
    "kernel made from the input": (
        "b = GlobalAveragePool(a) z = Conv(a, b)",
        {"last.weight": (4, 1, 1, 1)},
        "computes its own kernel",
    ),
}


@pytest.mark.parametrize("case", STAY)
def test_what_cannot_be_cut_stays_with_a_reason(case: str) -> None:
    body, shapes, reason = STAY[case]
    plan = make_base(conv_net(body, shapes)).plan
    assert plan.groups == ()
    assert any(reason in text for _, text in plan.frozen)


def test_box_sides_that_are_distributions_stay_and_what_leads_to_them_is_cut() -> None:
    body = (
        "b = Conv(a, mid.weight) c = Relu(b) d = Conv(c, box.weight)"
        " s = Constant<value_ints=[0, 4, 16, 64]>() e = Reshape(d, s)"
        " f = Transpose<perm=[0,2,1,3]>(e) g = Softmax<axis=1>(f) h = Conv(g, bins.weight)"
        " t = Constant<value_ints=[0, 4, 8, 8]>() z = Reshape(h, t)"
    )
    shapes = {
        "mid.weight": (6, 8, 1, 1),
        "box.weight": (64, 6, 1, 1),
        "bins.weight": (1, 16, 1, 1),
        "last.weight": (4, 4, 1, 1),
    }
    base = make_base(conv_net(body, shapes))
    assert widths_by_group(base) == {"first": 8, "mid": 6}
    assert ("box", "bins/Conv slides over channels") in base.plan.frozen
    assert check_cut(base) == ()


def test_layers_inside_a_branch_are_named() -> None:
    body = (
        "m = ReduceMax<keepdims=0>(x) k = Constant<value_float=0.0>() c = Greater(m, k)"
        " z = If (c) <then_branch = g1 () => (float[N,8,8,8] t) { t = Conv(a, inner.weight) },"
        " else_branch = g2 () => (float[N,8,8,8] e) { e = Neg(a) }>"
    )
    plan = make_base(
        conv_net(body, {"inner.weight": (8, 8, 1, 1), "last.weight": (4, 8, 1, 1)})
    ).plan
    assert ("inner", "is inside If (If)") in plan.frozen
    assert ("first", "no rule for op If (If)") in plan.frozen


def test_layer_whose_channels_are_one_unit_says_so() -> None:
    body = (
        "b = Conv(a, wide.weight) c = Conv<group=3>(b, three.weight)"
        " z = Conv<group=4>(c, four.weight)"
    )
    shapes = {
        "wide.weight": (12, 8, 1, 1),
        "three.weight": (12, 4, 1, 1),
        "four.weight": (12, 3, 1, 1),
        "last.weight": (4, 12, 1, 1),
    }
    base = make_base(conv_net(body, shapes))
    assert widths_by_group(base) == {"first": 8, "wide": 4}
    assert ("three", "its channels can only go all together") in base.plan.frozen
    assert check_cut(base) == ()
