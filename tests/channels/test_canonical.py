"""The canonical form computes the same, is stable, and lets a cut patch one literal alone."""

from __future__ import annotations

import onnx
import pytest
import torch
from onnx import numpy_helper

from hwprune.channels.canonical import canonical
from tests.channels.small_graphs import conv_net, parsed
from tests.traced import NETWORKS, run_onnx, traced

SHARED = (
    "s = Constant<value_ints=[0]>() e = Constant<value_ints=[4]>() o = Constant<value_ints=[1]>()"
    " b = Slice(a, s, e, o) c = Slice(a, s, e, o) i = Identity(c) z = Add(b, i)"
)


def _canonical(model: bytes) -> bytes:
    return canonical(onnx.load_model_from_string(model)).SerializeToString(deterministic=True)


def test_outputs_stay_bit_for_bit() -> None:
    model = conv_net(SHARED, {"last.weight": (4, 4, 1, 1)})
    data = torch.randn(2, 3, 8, 8)
    assert (run_onnx(_canonical(model), data) == run_onnx(model, data)).all()


def test_each_node_owns_its_integer_constants() -> None:
    graph = onnx.load_model_from_string(
        _canonical(conv_net(SHARED, {"last.weight": (4, 4, 1, 1)}))
    ).graph
    literals = [name for node in graph.node if node.op_type == "Slice" for name in node.input[1:]]
    assert len(literals) == len(set(literals)) == 6
    assert not any(node.op_type in ("Constant", "Identity") for node in graph.node)


@pytest.mark.parametrize("name", NETWORKS)
def test_form_is_stable(name: str) -> None:
    base = traced(name).base
    assert _canonical(base.onnx) == base.onnx


@pytest.mark.parametrize(
    "body, target",
    [
        ("y = Flatten(x)", [0, -1]),
        ("s = Constant<value_ints=[-1, 24]>() y = Reshape(x, s)", [0, -1]),
        ("s = Constant<value_ints=[-1, 2, 12]>() y = Reshape<allowzero=1>(x, s)", [0, 2, 12]),
        ("s = Constant<value_ints=[-1, 12]>() y = Reshape(x, s)", [-1, 12]),
        ("s = Constant<value_ints=[3, -1, 4]>() y = Reshape(x, s)", [3, -1, 4]),
    ],
)
def test_reshape_copies_the_batch_where_it_keeps_it(body: str, target: list[int]) -> None:
    dims = ",".join("MKL"[: len(target)])
    graph = onnx.load_model_from_string(
        _canonical(parsed(f"g (float[N,6,2,2] x) => (float[{dims}] y) {{ {body} }}"))
    ).graph
    assert [node.op_type for node in graph.node] == ["Reshape"]
    assert numpy_helper.to_array(graph.initializer[0]).tolist() == target


def test_batch_on_another_axis_is_never_written_out() -> None:
    body = (
        "t = Transpose<perm=[1,0,2,3]>(x) s = Constant<value_ints=[6, -1, 4]>()"
        " u = Reshape(t, s) r = Constant<value_ints=[3, -1]>() y = Reshape(u, r)"
    )
    graph = onnx.load_model_from_string(
        _canonical(parsed(f"g (float[N,6,2,2] x) => (float[A,B] y) {{ {body} }}"))
    ).graph
    targets = [numpy_helper.to_array(tensor).tolist() for tensor in graph.initializer]
    assert targets == [[0, 0, 4], [3, -1]]


def test_unnamed_nodes_are_named_after_their_weight() -> None:
    graph = onnx.load_model_from_string(
        _canonical(conv_net("z = Relu(a)", {"last.weight": (4, 8, 1, 1)}))
    ).graph
    assert [node.name for node in graph.node] == ["first/Conv", "Relu", "last/Conv"]


def test_pads_are_written_as_numbers_and_outputs_stay() -> None:
    body = (
        'p = MaxPool<kernel_shape=[3,2], strides=[2,2], auto_pad="SAME_UPPER">(a)'
        ' q = AveragePool<kernel_shape=[2,2], auto_pad="SAME_LOWER">(p)'
        ' r = Conv<auto_pad="SAME_UPPER", strides=[2,3]>(q, mid.weight)'
        ' s = ConvTranspose<auto_pad="SAME_LOWER", strides=[3,2]>(r, up.weight)'
        " z = ConvTranspose<output_shape=[11,9], strides=[2,2]>(s, more.weight)"
    )
    shapes = {
        "mid.weight": (6, 8, 4, 3),
        "up.weight": (6, 5, 4, 5),
        "more.weight": (5, 8, 2, 3),
        "last.weight": (4, 8, 1, 1),
    }
    model = conv_net(body, shapes)
    graph = onnx.load_model_from_string(_canonical(model)).graph
    words = {a.name for node in graph.node for a in node.attribute}
    assert not words & {"auto_pad", "output_shape"}
    assert all("pads" in {a.name for a in n.attribute} for n in graph.node[1:-1])
    data = torch.randn(2, 3, 8, 8)
    assert (run_onnx(_canonical(model), data) == run_onnx(model, data)).all()


def test_pads_that_runtimes_disagree_about_stay_a_word() -> None:
    body = 'z = MaxPool<kernel_shape=[3,3], dilations=[2,2], auto_pad="SAME_UPPER">(a)'
    model = conv_net(body, {"last.weight": (4, 8, 1, 1)})
    graph = onnx.load_model_from_string(_canonical(model)).graph
    pool = next(node for node in graph.node if node.op_type == "MaxPool")
    assert "auto_pad" in {a.name for a in pool.attribute}
