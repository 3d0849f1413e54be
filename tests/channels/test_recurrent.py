"""Hidden units of recurrent layers are cut, with their rows in all gates."""

from __future__ import annotations

import onnx
import pytest

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.network.gate import check_cut
from tests.channels.small_graphs import parsed

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(layer: str, shapes: dict[str, tuple[int, ...]], *, out: int = 8) -> BaseNetwork:
    """x [N 5 6] -> Linear `first` of 7 -> T N 7 -> the layer's `s` [T D N 8] -> Linear of 4."""
    text = f"""
    g (float[N,5,6] x) => (float[N,5,4] y) {{
        one = Constant<value_ints=[1]>()
        a = MatMul(x, first)
        t = Transpose<perm=[1,0,2]>(a)
        {layer}
        u = Transpose<perm=[2,0,1,3]>(s)
        flat = Constant<value_ints=[0, 5, {out}]>()
        q = Reshape(u, flat)
        y = MatMul(q, last)
    }}"""
    return make_base(parsed(text, {"first": (6, 7), "last": (out, 4), **shapes}))


def weights(op: str, *, directions: int = 1, hidden: int = 8) -> dict[str, tuple[int, ...]]:
    gates = GATES[op]
    return {
        "w": (directions, gates * hidden, 7),
        "r": (directions, gates * hidden, hidden),
        "b": (directions, 2 * gates * hidden),
    }


@pytest.mark.parametrize(
    ("op", "options"),
    [
        ("LSTM", ""),
        ("GRU", ""),
        ("GRU", ", linear_before_reset=1"),
        ("RNN", ""),
        ("RNN", ', activations=["Relu"]'),
        ("LSTM", ', activations=["Sigmoid", "Softsign", "Tanh"]'),
        ("LSTM", ', direction="reverse"'),
    ],
)
def test_hidden_units_and_what_they_read_are_cut(op: str, options: str) -> None:
    base = recurrent(f"s = {op}<hidden_size=8{options}>(t, w, r, b)", weights(op))
    assert [group.width for group in base.plan.groups] == [7, 8]
    assert check_cut(base) == ()


def test_both_directions_lose_the_same_units() -> None:
    layer = 's = LSTM<hidden_size=8, direction="bidirectional">(t, w, r, b)'
    base = recurrent(layer, weights("LSTM", directions=2), out=16)
    assert [group.width for group in base.plan.groups] == [7, 8]
    columns = next(axis for axis in base.plan.axes if axis.initializer == "last")
    assert [(span.count, span.repeat) for span in columns.spans] == [(8, 1), (8, 1)]
    assert check_cut(base) == ()


def test_first_states_and_peepholes_go_with_the_units() -> None:
    layer = (
        "z = Shape<start=0, end=1>(x)"
        " k = Constant<value_ints=[1]>() m = Constant<value_ints=[8]>()"
        " sizes = Concat<axis=0>(k, z, m) e = Expand(h, sizes) c = Expand(i, sizes)"
        " s = LSTM<hidden_size=8>(t, w, r, b, , e, c, p)"
    )
    shapes = {**weights("LSTM"), "h": (1, 1, 8), "i": (1, 1, 8), "p": (1, 24)}
    base = recurrent(layer, shapes)
    assert [group.width for group in base.plan.groups] == [7, 8]
    cut = {axis.initializer for axis in base.plan.axes}
    assert {"h", "i", "p", "w", "r", "b", "last"} <= cut
    assert check_cut(base) == ()


def test_the_last_state_is_cut_too() -> None:
    text = """
    g (float[N,5,6] x) => (float[N,4] y) {
        t = Transpose<perm=[1,0,2]>(x)
        s, h, c = LSTM<hidden_size=8>(t, w, r, b)
        zero = Constant<value_int=0>()
        q = Gather<axis=0>(h, zero)
        y = MatMul(q, last)
    }"""
    shapes = {"w": (1, 32, 6), "r": (1, 32, 8), "b": (1, 64), "last": (8, 4)}
    base = make_base(parsed(text, shapes))
    assert [group.width for group in base.plan.groups] == [8]
    assert check_cut(base) == ()


def test_states_of_zeros_are_left_out_of_the_graph() -> None:
    layer = (
        "z = Shape<start=0, end=1>(x) k = Constant<value_ints=[1]>()"
        " m = Constant<value_ints=[8]>() sizes = Concat<axis=0>(k, z, m)"
        " e = ConstantOfShape(sizes) s = GRU<hidden_size=8>(t, w, r, b, , e)"
    )
    base = recurrent(layer, weights("GRU"))
    ops = [node.op_type for node in onnx.load_model_from_string(base.onnx).graph.node]
    assert "ConstantOfShape" not in ops
    assert [group.width for group in base.plan.groups] == [7, 8]
    assert check_cut(base) == ()


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ('s = RNN<hidden_size=8, activations=["Sigmoid"]>(t, w, r, b)', "something of nothing"),
        (
            "n = ReduceMean<keepdims=1>(x) k = Constant<value_ints=[1]>()"
            " e = Shape<start=0, end=1>(x) m = Constant<value_ints=[8]>()"
            " sizes = Concat<axis=0>(k, e, m) h = Expand(n, sizes)"
            " s = RNN<hidden_size=8>(t, w, r, b, , h)",
            "starts from what is never cut",
        ),
    ],
)
def test_units_that_zeros_do_not_silence_stay_and_say_why(layer: str, reason: str) -> None:
    base = recurrent(layer, weights("RNN"))
    assert any(reason in said for _, said in base.plan.frozen), base.plan.frozen
    assert 8 not in base.plan.widths


def test_multiplications_are_counted_for_every_step() -> None:
    base = recurrent("s = LSTM<hidden_size=8>(t, w, r, b)", weights("LSTM"))
    gates = 4 * 8 * (7 + 8)
    assert base.cost_model.macs(base.widths) == 5 * (6 * 7 + gates + 8 * 4)
    halved = (7, 4)
    assert base.cost_model.macs(halved) == 5 * (6 * 7 + 4 * 4 * (7 + 4) + 4 * 4)
    (layer,) = [one for one in base.cost_model.layers() if one.name in ("w",)]
    assert (layer.positions, layer.kernel) == (5, 1)
