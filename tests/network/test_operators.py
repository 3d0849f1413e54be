"""Torch computes what ONNX Runtime computes, operator by operator, where the two speak apart."""

from __future__ import annotations

import pytest
import torch

from hwprune.channels.base import make_base
from hwprune.errors import NetworkError
from hwprune.network.gate import check_cut
from hwprune.network.graph_module import to_module
from tests.channels.small_graphs import conv_net, parsed
from tests.traced import relative, run_onnx

CASES = {
    "average, uneven pads": "z = AveragePool<kernel_shape=[3,2], strides=[2,1],"
    " pads=[1,0,0,1]>(a)",
    "average that counts uneven pads": "z = AveragePool<kernel_shape=[3,2], pads=[1,0,0,1],"
    " count_include_pad=1>(a)",
    "maximum of narrow windows in wide pads": "z = MaxPool<kernel_shape=[3,3], pads=[2,2,2,2]>(a)",
    "transposed, uneven pads": "z = ConvTranspose<pads=[0,1,2,1], strides=[2,2],"
    " output_padding=[1,0]>(a, mid.weight)",
}


@pytest.mark.parametrize("case", CASES)
def test_windows_are_those_of_the_runtime(case: str) -> None:
    shapes = {"mid.weight": (8, 8, 3, 4)} if "mid" in CASES[case] else {}
    model = conv_net(CASES[case], {**shapes, "last.weight": (4, 8, 1, 1)})
    base = make_base(model)
    data = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative(to_module(base.onnx)(data).numpy(), run_onnx(model, data)) < 1e-5
    assert {g.name for g in base.plan.groups} >= {"first"}
    assert check_cut(base) == ()


@pytest.mark.parametrize(
    ("case", "channels"),
    [
        ("z = AveragePool<kernel_shape=[2,2], dilations=[2,2]>(a)", 8),
        ('z = MaxPool<kernel_shape=[3,3], dilations=[2,2], auto_pad="SAME_UPPER">(a)', 8),
        ("i = Constant<value_ints=[0,1,2,3]>() m = ReduceMax<keepdims=0>(a, i) z = Clip(a, m)", 8),
        (
            "p = Constant<value_ints=[0,0,1,1,0,0,1,1]>() i = Constant<value_ints=[0,1,2,3]>()"
            " m = ReduceMax<keepdims=0>(a, i) z = Pad(a, p, m)",
            8,
        ),
        (
            "k = Constant<value_ints=[1,8,4,4]>()"
            ' z = Resize<mode="linear", antialias=1>(a, , , k)',
            8,
        ),
    ],
)
def test_what_torch_does_not_know_is_refused_by_name(case: str, channels: int) -> None:
    base = make_base(conv_net(case, {"last.weight": (4, channels, 1, 1)}))
    with pytest.raises(NetworkError, match="cannot be rebuilt in torch"):
        to_module(base.onnx)


@pytest.mark.parametrize(
    "body",
    [
        "y = Flatten<axis=2>(x)",
        "y = Flatten<axis=0>(x)",
        "y = Flatten<axis=-1>(x)",
        "o = Constant<value_ints=[1,2,3]>() a = ReduceSum<keepdims=0>(x, o)"
        " s = Constant<value_ints=[-1,1]>() y = Reshape(a, s)",
    ],
)
def test_rows_and_columns_are_those_of_the_runtime(body: str) -> None:
    base = make_base(parsed(f"g (float[N,6,2,3] x) => (float[M,K] y) {{ {body} }}"))
    data = torch.randn(4, 6, 2, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative(to_module(base.onnx)(data).numpy(), run_onnx(base.onnx, data)) < 1e-6


@pytest.mark.parametrize(
    "body",
    [
        "y = Slice(x, all, none, axes, back)",
        "p = Constant<value_ints=[1,0,2,3]>() q = Constant<value_ints=[3,1]>() y = Pad(x, p, , q)",
        "q = Constant<value_ints=[-1,-2]>() y = Unsqueeze(x, q)",
        "q = Constant<value_ints=[-1,0]>() u = Unsqueeze(x, q) r = Constant<value_ints=[-1,0]>()"
        " y = Squeeze(u, r)",
        "y = Clip(x)",
    ],
)
def test_places_are_those_of_the_runtime(body: str) -> None:
    rows = (
        "all = Constant<value_ints=[-1, 5]>() none = Constant<value_ints=[-2147483647, 1]>()"
        " axes = Constant<value_ints=[1, 3]>() back = Constant<value_ints=[-2, -1]>() "
    )
    body = rows + body if "Slice" in body else body
    model = parsed(f"g (float[N,6,2,3] x) => (float y) {{ {body} }}")
    base = make_base(model)
    data = torch.randn(4, 6, 2, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative(to_module(base.onnx)(data).numpy(), run_onnx(model, data)) == 0


def test_casts_to_floats_do_not_blunt_the_gate() -> None:
    body = "i = Cast<to=7>(a) f = Cast<to=1>(i) b = Cast<to=1>(a) z = Add(b, f)"
    base = make_base(conv_net(body, {"last.weight": (4, 8, 1, 1)}))
    assert base.plan.widths == (8,)
    assert check_cut(base) == ()
