"""Each twin computes what ONNX Runtime computes, in both halves of a batch."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from hwprune.channels.base import make_base
from hwprune_device.torch_graph.module import Unknown, module_of
from tests.channels.small_graphs import parsed
from tests.traced import relative, run_onnx

_ROW = "float[N,6,4] x"
_MAP = "float[N,6,5,7] x"
CASES = {
    "gather elements": (
        _ROW,
        "i = Constant<value = int64[2,2,3] {0,-1,2, 3,0,-6, 5,5,1, 0,2,4}>()"
        " y = GatherElements<axis=1>(x, i)",
    ),
    "gather rows": (
        _ROW,
        "i = Constant<value = int64[2,2] {0,-1, 1,3}>() y = GatherND(x, i)",
    ),
    "gather rows of each item": (
        _ROW,
        "i = Constant<value = int64[2,2,1] {0,-1, 5,3}>() y = GatherND<batch_dims=1>(x, i)",
    ),
    "largest": (
        _ROW,
        "r = Round(x) k = Constant<value_ints=[3]>() v, i = TopK<axis=1>(r, k)"
        " f = Cast<to=1>(i) y = Add(v, f)",
    ),
    "smallest": (
        _ROW,
        "r = Round(x) k = Constant<value_ints=[4]>() v, i = TopK<largest=0>(r, k)"
        " f = Cast<to=1>(i) y = Add(v, f)",
    ),
    "running sum": (_ROW, "a = Constant<value_int=1>() y = CumSum(x, a)"),
    "running sum before": (
        _ROW,
        "a = Constant<value_int=-1>() y = CumSum<exclusive=1, reverse=1>(x, a)",
    ),
    "counting rows": (
        _ROW,
        "s = Shape(x) i = Constant<value_int=0>() n = Gather(s, i) o = Constant<value_int=1>()"
        " r = Range(i, n, o) f = Cast<to=1>(r) u = Constant<value_ints=[1,2]>()"
        " w = Unsqueeze(f, u) y = Add(x, w)",
    ),
    "tiled": (_ROW, "k = Constant<value_ints=[1,2,3]>() y = Tile(x, k)"),
    "tiled by its own size": (
        _ROW,
        "s = Shape(x) y = Tile(x, s)",
    ),
    "scattered": (
        _ROW,
        "i = Constant<value = int64[2,2,4] {0,-1,2,3, 4,5,0,1, 3,0,5,1, 2,1,0,-2}>()"
        " p = Constant<value_ints=[0]>() q = Constant<value_ints=[2]>()"
        " o = Constant<value_ints=[1]>()"
        ' n = Slice(x, p, q, o) y = ScatterElements<axis=1, reduction="add">(x, i, n)',
    ),
    "scattered rows": (
        _ROW,
        "i = Constant<value = int64[2,1] {1, -2}>() n = Neg(x)"
        ' y = ScatterND<reduction="add">(x, i, n)',
    ),
    "local response": (_MAP, "y = LRN<size=5, alpha=0.5, beta=0.6, bias=1.5>(x)"),
    "sum of squares": (
        _MAP,
        "a = Constant<value_ints=[1]>() y = ReduceSumSquare(x, a)",
    ),
    "threshold": (_MAP, "y = ThresholdedRelu<alpha=0.5>(x)"),
    "flattened from the end": (_MAP, "y = Flatten<axis=-2>(x)"),
    "group norm": (
        _MAP,
        "s = Constant<value_floats=[1.5,2.0,0.5]>() b = Constant<value_floats=[1.0,0.0,-1.0]>()"
        " t = Constant<value_ints=[2]>() u = Tile(s, t) v = Tile(b, t)"
        " y = GroupNormalization<num_groups=3>(x, u, v)",
    ),
    "turned around": (
        _MAP,
        "s = Constant<value_ints=[-1]>() e = Constant<value_ints=[-9223372036854775807]>()"
        " a = Constant<value_ints=[3]>() y = Slice(x, s, e, a, s)",
    ),
    "mirrored": (
        _MAP,
        'p = Constant<value_ints=[0,0,2,1,0,0,1,3]>() y = Pad<mode="reflect">(x, p)',
    ),
    "mirrored by nothing": (
        _MAP,
        'p = Constant<value_ints=[0,0,0,0,0,0,0,0]>() y = Pad<mode="reflect">(x, p)',
    ),
    "mirrored channels": (
        _MAP,
        'p = Constant<value_ints=[0,2,0,0,0,3,1,0]>() y = Pad<mode="reflect">(x, p)',
    ),
    "edges of all axes but one": (
        _MAP,
        'p = Constant<value_ints=[0,1,1,1,0,2,0,3]>() y = Pad<mode="edge">(x, p)',
    ),
    "wrapped": (_MAP, 'p = Constant<value_ints=[0,0,2,3,0,0,1,0]>() y = Pad<mode="wrap">(x, p)'),
    "padded to computed sizes": (
        _MAP,
        "s = Shape<end=1>(x) z = Constant<value_ints=[0,0,0,0,0,1,2]>()"
        " p = Concat<axis=0>(z, s) y = Pad(x, p)",
    ),
    "split by computed sizes": (
        _MAP,
        "s = Shape<end=1>(x) o = Constant<value_ints=[5]>() k = Concat<axis=0>(s, o)"
        " y, z = Split<axis=3>(x, k)",
    ),
    "slice of computed axes": (
        _MAP,
        "s = Constant<value_ints=[1]>() e = Constant<value_ints=[3]>() a = Shape<end=1>(x)"
        " y = Slice(x, s, e, a)",
    ),
    "filled to a computed shape": (
        _MAP,
        "s = Shape(x) f = ConstantOfShape<value = float[1] {2.5}>(s) y = Mul(x, f)",
    ),
    "maximum with padding by word": (
        _MAP,
        'y = MaxPool<kernel_shape=[3,2], strides=[2,2], auto_pad="SAME_LOWER">(x)',
    ),
    "average with padding by word": (
        _MAP,
        'y = AveragePool<kernel_shape=[3,2], strides=[2,2], auto_pad="SAME_UPPER">(x)',
    ),
    "convolution with padding by word": (
        _MAP,
        'y = Conv<strides=[2,2], auto_pad="SAME_LOWER">(x, w)',
    ),
    "kernel of weights": ("float[N,6,5,7] x", "v = Tanh(w) y = Conv(x, v)"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_twin_computes_what_the_runtime_computes(case: str) -> None:
    inputs, body = CASES[case]
    used = {"w": (4, 6, 3, 2)} if "Conv" in body else {}
    model = parsed(f"g ({inputs}) => (float y) {{ {body} }}", used, opset=21)
    _expect_same(model, 6, *([5, 7] if inputs is _MAP else [4]))


_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("op", "more"),
    [
        ("LSTM", {}),
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {}),
        ("RNN", {}),
        ("RNN", {"activations": ["Relu"]}),
    ],
    ids=["lstm", "gru", "gru, early reset", "rnn", "rnn with relu"],
)
def test_recurrent_layers_are_those_of_the_runtime(op, more, direction, bias):
    ways, hidden, rng = 1 + (direction == "bidirectional"), 5, np.random.default_rng(0)
    gates = _GATES[op] * hidden
    more = {name: value * ways if name == "activations" else value for name, value in more.items()}
    arrays = {"w": (ways, gates, 6), "r": (ways, gates, hidden), "b": (ways, 2 * gates)}
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32) / 2, name)
        for name, shape in arrays.items()
        if bias or name != "b"
    ]
    inputs = ["t", "w", "r", *(["b"] if bias else [])]
    outs = ["out", "last"] if op != "LSTM" else ["out", "last", "cell"]
    nodes = [
        onnx.helper.make_node("Transpose", ["x"], ["t"], perm=[2, 0, 1]),
        onnx.helper.make_node(op, inputs, outs, direction=direction, hidden_size=hidden, **more),
        onnx.helper.make_node("Add", ["out", outs[-1]], ["y"]),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info("x", kind, ["N", 6, 4])],
        [onnx.helper.make_tensor_value_info("y", kind, None)],
        weights,
    )
    opsets = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    _expect_same(model.SerializeToString(), 6, 4)


def _expect_same(model: bytes, *sizes: int) -> None:
    data = torch.randn(2, *sizes, generator=torch.Generator().manual_seed(0))
    module = module_of(make_base(model).onnx, Unknown.REFUSED)
    with torch.inference_mode():
        outputs = module(data)
    first = outputs[0] if isinstance(outputs, tuple | list) else outputs
    assert relative(first.numpy(), run_onnx(model, data)) < 1e-5
