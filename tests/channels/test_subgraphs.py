"""Graphs inside nodes: what they take from outside stays whole, and is part of the structure."""

from __future__ import annotations

import onnx
import torch

from hwprune.channels.base import make_base
from hwprune.network.gate import check_cut
from hwprune.network.graph_module import to_module
from hwprune.network.package import load_package, save_package
from hwprune_device.cut import Cutter
from tests.channels.small_graphs import conv_net
from tests.traced import relative, run_onnx

BRANCHES = """
    m = Conv(a, mid.weight) i = Identity(m)
    h = Constant<value_ints=[0,1,2,3]>() t = ReduceSum<keepdims=0>(a, h)
    l = Constant<value = float {0.0}>() c = Greater(t, l)
    s = If(c) <then_branch = yes () => (float[N,6,8,8] p) { p = Conv(i, inner.weight) },
               else_branch = no () => (float[N,6,8,8] q) { q = Relu(i) }>
    z = Conv(s, behind.weight)
"""
SHAPES = {
    "mid.weight": (6, 8, 1, 1),
    "inner.weight": (6, 6, 1, 1),
    "behind.weight": (5, 6, 1, 1),
    "last.weight": (4, 5, 1, 1),
}


def _model() -> bytes:
    proto = onnx.load_model_from_string(conv_net(BRANCHES, SHAPES))
    choice = next(node for node in proto.graph.node if node.op_type == "If")
    for branch in choice.attribute:
        for node in branch.g.node:
            node.input[:] = [name.replace("inner_weight", "inner.weight") for name in node.input]
    return proto.SerializeToString()


def test_what_a_branch_takes_stays_whole_and_the_rest_is_cut() -> None:
    base = make_base(_model())
    groups = {group.name: group.width for group in base.plan.groups}
    assert groups == {"first": 8, "behind": 5}
    assert ("mid", "no rule for op If (If)") in base.plan.frozen
    assert check_cut(base) == ()


def test_what_only_a_branch_reads_is_part_of_the_structure() -> None:
    base = make_base(_model())
    narrow = Cutter(base.onnx, base.plan).cut_to((3, 5))
    assert base.architecture_of((3, 5)) == make_base(narrow).architecture != base.architecture
    data = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative(to_module(narrow)(data).numpy(), run_onnx(narrow, data)) < 1e-5


def test_branches_are_stored_and_read_back(tmp_path) -> None:
    base = make_base(_model())
    keep = [range(3), range(5)]
    model = Cutter(base.onnx, base.plan).cut_to((3, 5))
    save_package(tmp_path, model=model, widths=(3, 5), keep=keep, base=base)
    data = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative(load_package(tmp_path)(data).numpy(), run_onnx(model, data)) < 1e-5
