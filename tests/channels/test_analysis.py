"""What may be cut is found."""

from __future__ import annotations

import pytest

from hwprune.channels.base import make_base
from hwprune.network.gate import check_cut
from tests.channels.small_graphs import conv_net, widths_by_group

NUMBERS = ", ".join(str(number * 37 % 256) for number in range(48))
RIGHT = {
    "relu": ("z = Relu(a)", {"last.weight": (4, 8, 1, 1)}, {"first": 8}),
    "concat": (
        "b = Conv(a, mid.weight) z = Concat<axis=1>(a, b)",
        {"mid.weight": (6, 8, 1, 1), "last.weight": (4, 14, 1, 1)},
        {"first": 8, "mid": 6},
    ),
    "slice": (
        "s = Constant<value_ints=[2]>() e = Constant<value_ints=[8]>()"
        " o = Constant<value_ints=[1]>() z = Slice(a, s, e, o)",
        {"last.weight": (4, 6, 1, 1)},
        {"first[0:2]": 2, "first[2:8]": 6},
    ),
    "split": (
        "k = Constant<value_ints=[3, 5]>() b, c = Split<axis=1>(a, k) d = Conv(b, mid.weight)"
        " z = Concat<axis=1>(c, d)",
        {"mid.weight": (3, 3, 1, 1), "last.weight": (4, 8, 1, 1)},
        {"first[0:3]": 3, "first[3:8]": 5, "mid": 3},
    ),
    "squeeze-and-excitation": (
        "p = GlobalAveragePool(a) q = Conv(p, down.weight) r = Relu(q) s = Conv(r, up.weight)"
        " t = Sigmoid(s) z = Mul(a, t)",
        {"down.weight": (5, 8, 1, 1), "up.weight": (8, 5, 1, 1), "last.weight": (4, 8, 1, 1)},
        {"first": 8, "down": 5},
    ),
    "grouped convolution": (
        "z = Conv<group=4>(a, mid.weight)",
        {"mid.weight": (12, 2, 1, 1), "last.weight": (4, 12, 1, 1)},
        {"first": 4},
    ),
    "groups of two numbers, by as many channels of each": (
        "b = Conv(a, wide.weight) c = Conv<group=4>(b, four.weight)"
        " z = Conv<group=6>(c, six.weight)",
        {
            "wide.weight": (48, 8, 1, 1),
            "four.weight": (48, 12, 1, 1),
            "six.weight": (48, 8, 1, 1),
            "last.weight": (4, 48, 1, 1),
        },
        {"first": 8, "wide": 12, "four": 4, "six": 8},
    ),
    "transposed, by as many channels of each group": (
        "z = ConvTranspose<group=2, strides=[2,2]>(a, mid.weight)",
        {"mid.weight": (8, 3, 2, 2), "last.weight": (4, 6, 1, 1)},
        {"first": 4, "mid": 3},
    ),
    "groups of the network's input": (
        "b = Conv<group=3>(x, mid.weight) c = Conv(b, next.weight) z = Add(a, c)",
        {
            "mid.weight": (12, 1, 1, 1),
            "next.weight": (8, 12, 1, 1),
            "last.weight": (4, 8, 1, 1),
        },
        {"first": 8, "mid": 4},
    ),
    "channels last": (
        "b = Transpose<perm=[0,2,3,1]>(a) c = MatMul(b, mid.weight)"
        " z = Transpose<perm=[0,3,1,2]>(c)",
        {"mid.weight": (8, 6), "last.weight": (4, 6, 1, 1)},
        {"first": 8, "mid": 6},
    ),
    "shuffle": (
        "s = Constant<value_ints=[0, 2, 4, 8, 8]>() b = Reshape(a, s)"
        " c = Transpose<perm=[0,2,1,3,4]>(b) t = Constant<value_ints=[0, 8, 8, 8]>()"
        " z = Reshape(c, t)",
        {"last.weight": (4, 8, 1, 1)},
        {"first": 4},
    ),
    "equal parts": (
        "b, c = Split<axis=1, num_outputs=2>(a) z = Add(b, c)",
        {"last.weight": (4, 4, 1, 1)},
        {"first": 4},
    ),
    "slice from the end": (
        "s = Constant<value_ints=[-5]>() e = Constant<value_ints=[9223372036854775807]>()"
        " o = Constant<value_ints=[1]>() z = Slice(a, s, e, o)",
        {"last.weight": (4, 5, 1, 1)},
        {"first[0:3]": 3, "first[3:8]": 5},
    ),
    "layer norm over channels": (
        "b = Transpose<perm=[0,2,3,1]>(a) c = LayerNormalization(b, norm.weight, norm.bias)"
        " d = MatMul(c, mid.weight) z = Transpose<perm=[0,3,1,2]>(d)",
        {
            "norm.weight": (8,),
            "norm.bias": (8,),
            "mid.weight": (8, 6),
            "last.weight": (4, 6, 1, 1),
        },
        {"first": 8, "mid": 6},
    ),
    "group norm by whole groups": (
        "s = Constant<value_ints=[0, 4, -1]>() b = Reshape(a, s)"
        " c = InstanceNormalization(b, ones, zeros)"
        " t = Constant<value_ints=[0, 8, 8, 8]>() z = Reshape(c, t)",
        {"ones": (4,), "zeros": (4,), "last.weight": (4, 8, 1, 1)},
        {"first": 4},
    ),
    "group norm of one group": (
        "s = Constant<value_ints=[0, 1, -1]>() b = Reshape(a, s)"
        " c = InstanceNormalization(b, one, zero)"
        " t = Constant<value_ints=[0, 8, 8, 8]>() d = Reshape(c, t)"
        " e = Mul(d, norm.weight) z = Add(e, norm.bias)",
        {
            "one": (1,),
            "zero": (1,),
            "norm.weight": (8, 1, 1),
            "norm.bias": (8, 1, 1),
            "last.weight": (4, 8, 1, 1),
        },
        {"first": 8},
    ),
    "group norm as an op": (
        "b = GroupNormalization<num_groups=4>(a, norm.weight, norm.bias)"
        " c = Sigmoid(b) d = Conv(c, mid.weight)"
        " z = GroupNormalization<num_groups=1>(d, other.weight, other.bias)",
        {
            "norm.weight": (8,),
            "norm.bias": (8,),
            "mid.weight": (6, 8, 1, 1),
            "other.weight": (6,),
            "other.bias": (6,),
            "last.weight": (4, 6, 1, 1),
        },
        {"first": 4, "mid": 6},
    ),
    "mean over channels": (
        "o = Constant<value_ints=[1]>() m = ReduceMean(a, o) z = Sub(a, m)",
        {"last.weight": (4, 8, 1, 1)},
        {"first": 8},
    ),
    "sum over channels that are never zero": (
        "b = Sigmoid(a) o = Constant<value_ints=[1]>() z = ReduceSum(b, o)",
        {"last.weight": (4, 1, 1, 1)},
        {"first": 8},
    ),
    "mean and maximum over channels as a mask": (
        "o = Constant<value_ints=[1]>() m = ReduceMean(a, o) h = ReduceMax(a, o)"
        " l = ReduceMin(a, o) p = Concat<axis=1>(m, h, l) q = Conv<pads=[1,1,1,1]>(p, mask.weight)"
        " r = Sigmoid(q) z = Mul(a, r)",
        {"mask.weight": (1, 3, 3, 3), "last.weight": (4, 8, 1, 1)},
        {"first": 8},
    ),
    "layer norm written out over axis 1": (
        "o = Constant<value_ints=[1]>() m = ReduceMean(a, o) c = Sub(a, m) s = Mul(c, c)"
        " v = ReduceMean(s, o) k = Constant<value_float=0.00001>() e = Add(v, k) r = Sqrt(e)"
        " n = Div(c, r) w = Mul(n, norm.weight) z = Add(w, norm.bias)",
        {
            "norm.weight": (8, 1, 1),
            "norm.bias": (8, 1, 1),
            "last.weight": (4, 8, 1, 1),
        },
        {"first": 8},
    ),
    "integers with zero points": (
        f"w = Constant<value = uint8[6,8,1,1] {{{NUMBERS}}}>()"
        " p = Constant<value = uint8[6] {128, 120, 99, 3, 0, 255}>()"
        " q = Constant<value = int8 {-7}>() k = Constant<value_float=0.03>()"
        " b = DequantizeLinear<axis=0>(w, mid.scale, p) c = Conv(a, b)"
        " d = QuantizeLinear(c, k, q) z = DequantizeLinear(d, k, q)",
        {"mid.scale": (6,), "last.weight": (4, 6, 1, 1)},
        {"first": 8, "Conv": 6},
    ),
    "weights rounded by channel": (
        "p = Constant<value = int8[6] {0, 0, 0, 0, 0, 0}>()"
        " r = QuantizeLinear<axis=0>(mid.weight, mid.scale, p)"
        " b = DequantizeLinear<axis=0>(r, mid.scale, p) z = Conv(a, b)",
        {"mid.weight": (6, 8, 1, 1), "mid.scale": (6,), "last.weight": (4, 6, 1, 1)},
        {"first": 8, "Conv": 6},
    ),
    "kernel that is standardised": (
        "i = Constant<value_ints=[1,2,3]>() m = ReduceMean(mid.weight, i)"
        " c = Sub(mid.weight, m) s = Mul(c, c) v = ReduceMean(s, i)"
        " k = Constant<value_float=0.001>() e = Add(v, k) r = Sqrt(e) w = Div(c, r)"
        " b = Sigmoid(a) d = Conv(b, w) z = Sigmoid(d)",
        {"mid.weight": (6, 8, 3, 3), "last.weight": (4, 6, 1, 1)},
        {"first": 8, "Conv": 6},
    ),
    "state that starts with zeros": (
        "s = Constant<value_ints=[1, 8, 8, 8]>() h = ConstantOfShape(s)"
        " c = Add(a, h) d = Sigmoid(c) e = Mul(d, h) f = Add(e, d)"
        " z = Conv(f, mid.weight)",
        {"mid.weight": (6, 8, 1, 1), "last.weight": (4, 6, 1, 1)},
        {"first": 8, "mid": 6},
    ),
    "attention by heads": (
        "s = Constant<value_ints=[0, 8, 64]>() b = Reshape(a, s) c = Transpose<perm=[0,2,1]>(b)"
        " q = MatMul(c, q.weight) k = MatMul(c, k.weight) v = MatMul(c, v.weight)"
        " h = Constant<value_ints=[0, 64, 3, 4]>() q1 = Reshape(q, h) k1 = Reshape(k, h)"
        " v1 = Reshape(v, h) q2 = Transpose<perm=[0,2,1,3]>(q1)"
        " k2 = Transpose<perm=[0,2,3,1]>(k1) v2 = Transpose<perm=[0,2,1,3]>(v1)"
        " m = MatMul(q2, k2) n = Softmax(m) o = MatMul(n, v2) o1 = Transpose<perm=[0,2,1,3]>(o)"
        " w = Constant<value_ints=[0, 64, 12]>() o2 = Reshape(o1, w)"
        " o3 = Transpose<perm=[0,2,1]>(o2) u = Constant<value_ints=[0, 12, 8, 8]>()"
        " z = Reshape(o3, u)",
        {
            "q.weight": (8, 12),
            "k.weight": (8, 12),
            "v.weight": (8, 12),
            "last.weight": (4, 12, 1, 1),
        },
        {"first": 8, "q": 3},
    ),
    "product by letters": (
        'b = Einsum<equation="nchw,ck->nkhw">(a, mid.weight) z = Relu(b)',
        {"mid.weight": (8, 6), "last.weight": (4, 6, 1, 1)},
        {"first": 8, "mid": 6},
    ),
    "transposed and grouped": (
        "z = ConvTranspose<group=4, strides=[2,2]>(a, mid.weight)",
        {"mid.weight": (8, 3, 2, 2), "last.weight": (4, 12, 1, 1)},
        {"first": 4},
    ),
    "pixels from channels": (
        'z = DepthToSpace<blocksize=2, mode="CRD">(a)',
        {"last.weight": (4, 2, 1, 1)},
        {"first": 2},
    ),
    "channels from pixels": (
        "z = SpaceToDepth<blocksize=2>(a)",
        {"last.weight": (4, 32, 1, 1)},
        {"first": 8},
    ),
    "resized with written sizes": (
        "r = Constant<value_floats=[1.0]>() k = Constant<value_ints=[1, 8, 16, 16]>()"
        ' z = Resize<mode="linear">(a, , , k)',
        {"last.weight": (4, 8, 1, 1)},
        {"first": 8},
    ),
    "weight used twice": (
        "b = Conv(a, mid.weight) c = Relu(b) z = Conv(c, mid.weight)",
        {"mid.weight": (8, 8, 1, 1), "last.weight": (4, 8, 1, 1)},
        {"first": 8},
    ),
    "length over channels": (
        "o = Constant<value_ints=[1]>() m = ReduceL2(a, o) z = Div(a, m)",
        {"last.weight": (4, 8, 1, 1)},
        {"first": 8},
    ),
    "appended to itself": (
        "z = Concat<axis=1>(a, a)",
        {"last.weight": (4, 16, 1, 1)},
        {"first": 8},
    ),
}


@pytest.mark.parametrize("case", RIGHT)
def test_cut_passes_through(case: str) -> None:
    body, shapes, groups = RIGHT[case]
    base = make_base(conv_net(body, shapes))
    assert widths_by_group(base) == groups
    assert check_cut(base) == ()
