"""A layer norm that a file writes out is one again, and what only looks like one is not."""

from __future__ import annotations

import onnx
import pytest
import torch

from hwprune.network.gate import trusted_base
from hwprune.network.onnx_file import read_network
from tests.channels.small_graphs import parsed
from tests.network.test_onnx_file import exported
from tests.traced import relative, run_onnx
from tests.unusual import Encoder

NET = """g (float[N,5,6] x) => (float[N,5,4] y) {{
    two = Constant<value_float=2.0>() eps = Constant<value_float={eps}>()
    last = Constant<value_ints=[{axis}]>()
    a = MatMul(x, w1) {body} y = MatMul(z, w2)
}}"""
BODIES = {
    "torch": "m = ReduceMean(a, last) d = Sub(a, m) q = Pow(d, two) v = ReduceMean(q, last)"
    " e = Add(v, eps) s = Sqrt(e) n = Div(d, s) g = Mul(n, scale) z = Add(g, shift)",
    "products and reciprocals": "m = ReduceMean(a, last) d = Sub(a, m) q = Mul(d, d)"
    " v = ReduceMean(q, last) e = Add(eps, v) s = Sqrt(e) r = Reciprocal(s) n = Mul(d, r)"
    " g = Mul(scale, n) z = Add(shift, g)",
    "no shift": "m = ReduceMean(a, last) d = Sub(a, m) q = Pow(d, two) v = ReduceMean(q, last)"
    " e = Add(v, eps) s = Sqrt(e) n = Div(d, s) z = Mul(n, scale)",
}
OTHERS = {
    "another mean": BODIES["torch"].replace("v = ReduceMean(q, last)", "v = ReduceMax(q, last)"),
    "another square": BODIES["torch"].replace("Pow(d, two)", "Mul(d, a)"),
    "another centre": BODIES["torch"].replace("Sub(a, m)", "Sub(m, a)"),
}
SHAPES = {"w1": (6, 8), "w2": (8, 4), "scale": (8,), "shift": (8,)}
DATA = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))


def _file(path, body: str, axis: int = -1, eps: float = 0.001):  # type: ignore[no-untyped-def]
    used = {name: shape for name, shape in SHAPES.items() if name in body or name[0] == "w"}
    path.write_bytes(parsed(NET.format(body=body, axis=axis, eps=eps), used))
    return path


@pytest.mark.parametrize("axis", [-1, 2])
@pytest.mark.parametrize("name", BODIES)
def test_the_formula_is_one_node_and_its_channels_can_be_cut(name, axis, tmp_path) -> None:
    path = _file(tmp_path / "net.onnx", BODIES[name], axis)
    base, left, record = trusted_base(read_network(path))
    nodes = onnx.load_model_from_string(base.onnx).graph.node
    assert [node.op_type for node in nodes] == ["MatMul", "LayerNormalization", "MatMul"]
    assert (base.plan.widths, left, record.candidates > 1) == ((8,), (), True)
    assert relative(run_onnx(base.onnx, DATA), run_onnx(path.read_bytes(), DATA)) < 1e-5


@pytest.mark.parametrize("name", OTHERS)
def test_what_looks_like_it_is_left_as_it_is(name, tmp_path) -> None:
    path = _file(tmp_path / "net.onnx", OTHERS[name])
    base, _, _ = trusted_base(read_network(path))
    kinds = {node.op_type for node in onnx.load_model_from_string(base.onnx).graph.node}
    assert "LayerNormalization" not in kinds
    assert relative(run_onnx(base.onnx, DATA), run_onnx(path.read_bytes(), DATA)) < 1e-6


def test_a_mean_over_rows_is_no_layer_norm(tmp_path) -> None:
    path = _file(tmp_path / "net.onnx", BODIES["torch"], axis=1)
    kinds = {node.op_type for node in onnx.load_model_from_string(read_network(path)).graph.node}
    assert "LayerNormalization" not in kinds


@pytest.mark.filterwarnings("ignore")
def test_an_exporter_before_layer_norms_wrote_them_out(tmp_path) -> None:
    """Opset 13 comes back as 17, in which a transformer is cut as a whole."""
    torch.manual_seed(0)
    words = torch.arange(20).reshape(2, 10)
    path = exported(Encoder(), tmp_path / "encoder.onnx", 13, data=words)
    base, left, record = trusted_base(read_network(path))
    assert (left, record.candidates > 1) == ((), True)
    assert sorted(base.plan.widths) == [4, 4, 32, 32, 64, 64]
    assert relative(run_onnx(base.onnx, words), run_onnx(path.read_bytes(), words)) < 1e-5
