"""Torch computes what ONNX Runtime computes, operator by operator, where the two speak apart."""

from __future__ import annotations

import onnx
import pytest
import torch

from hwprune.channels.base import make_base
from hwprune.errors import NetworkError
from hwprune.network.calls import random_inputs
from hwprune.network.gate import check_cut
from hwprune.network.graph_module import expect_gradients, to_module
from hwprune.pipeline.cut import CutSettings, cut
from hwprune.progress import Silent
from hwprune.saliency.ranking import rank
from hwprune.task.task import Task
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


PLACES = (
    "b = Constant<value_ints=[0]>() e = Constant<value_ints=[2]>() d = Constant<value_ints=[1]>()"
    " p = Slice(x, b, e, d) g = Transpose<perm=[0,2,3,1]>(p) "
)
"""The first two channels of the input as places to sample at, some of them outside."""


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [0, 1])
def test_places_are_sampled_as_the_runtime_does(mode: str, padding: str, corners: int) -> None:
    sample = (
        f'z = GridSample<mode="{mode}", padding_mode="{padding}", align_corners={corners}>(a, g)'
    )
    model = conv_net(PLACES + sample, {"last.weight": (4, 8, 1, 1)})
    base = make_base(model)
    data = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative(to_module(base.onnx)(data).numpy(), run_onnx(model, data)) < 1e-5
    assert "first" in {group.name for group in base.plan.groups}


UNKNOWN = {
    "average of places that lie apart": (
        "z = AveragePool<kernel_shape=[2,2], dilations=[2,2]>(a)",
        8,
    ),
    "computed limits": (
        "i = Constant<value_ints=[0,1,2,3]>() m = ReduceMax<keepdims=0>(a, i) z = Clip(a, m)",
        8,
    ),
    "computed padding": (
        "p = Constant<value_ints=[0,0,1,1,0,0,1,1]>() i = Constant<value_ints=[0,1,2,3]>()"
        " m = ReduceMax<keepdims=0>(a, i) z = Pad(a, p, m)",
        8,
    ),
    "mean and variance": ("z = MeanVarianceNormalization(a)", 8),
    "a loop": (
        "n = Constant<value_int=3>() t = Constant<value = bool {1}>()"
        " z = Loop(n, t, a) <body = b (int64 i, bool c, float[N,8,8,8] v)"
        " => (bool d, float[N,8,8,8] w) { d = Identity(c) h = Tanh(v) w = Add(h, a) }>",
        8,
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_torch_does_not_know_is_computed_and_cut_around(case: str) -> None:
    body, channels = UNKNOWN[case]
    body = f"{body.replace(' z = ', ' s = ').replace('z = ', 's = ', 1)} z = Conv(s, mid.weight)"
    shapes = {"mid.weight": (6, channels, 1, 1), "last.weight": (4, 6, 1, 1)}
    proto = onnx.load_model_from_string(conv_net(body, shapes))
    # As exporters write it: nobody infers what a loop puts out.
    sizes = (8, 8) if case == "a loop" else (None, None)
    value = onnx.helper.make_tensor_value_info("s", 1, ["N", channels, *sizes])
    proto.graph.value_info.append(value)
    model = proto.SerializeToString()
    base = make_base(model)
    data = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert relative(to_module(base.onnx)(data).numpy(), run_onnx(model, data)) < 1e-5
    assert "mid" in {group.name for group in base.plan.groups}
    assert check_cut(base) == ()


def test_nothing_is_learned_through_an_op_without_a_twin() -> None:
    base = make_base(conv_net("z = MeanVarianceNormalization(a)", {"last.weight": (4, 8, 1, 1)}))
    inputs = random_inputs(base, seed=0)
    with pytest.raises(
        NetworkError,
        match="MeanVarianceNormalization 'MeanVarianceNormalization' has no torch twin",
    ):
        expect_gradients(base.onnx, inputs)
    last = make_base(conv_net("z = Relu(a)", {"last.weight": (4, 8, 1, 1)}))
    expect_gradients(last.onnx, inputs)


def test_a_criterion_of_gradients_names_the_op_that_stops_it() -> None:
    base = make_base(
        conv_net(
            "m = Conv(a, mid.weight) z = MeanVarianceNormalization(m)",
            {"mid.weight": (6, 8, 1, 1), "last.weight": (4, 6, 1, 1)},
        )
    )
    batches = [random_inputs(base, seed=seed) for seed in range(2)]
    task = Task(inputs=lambda part, count: batches)
    with pytest.raises(
        NetworkError,
        match="MeanVarianceNormalization 'MeanVarianceNormalization' has no torch twin",
    ):
        rank(base, task, "taylor")
    assert rank(base, None, "l1").order[0].size == base.widths[0]


@pytest.mark.parametrize("shape", [True, False])
def test_an_op_that_nobody_knows_costs_no_more_than_its_own_channels(shape, tmp_path) -> None:
    proto = onnx.load_model_from_string(
        conv_net(
            "b = Conv(a, narrow.weight) s = MeanVarianceNormalization(b) z = Conv(s, mid.weight)",
            {
                "narrow.weight": (8, 8, 1, 1),
                "mid.weight": (6, 8, 1, 1),
                "last.weight": (4, 6, 1, 1),
            },
        )
    )
    strange = next(node for node in proto.graph.node if node.op_type.startswith("Mean"))
    strange.domain = "some.vendor"
    proto.opset_import.append(onnx.helper.make_opsetid("some.vendor", 1))
    if shape:
        # As exporters write it.
        value = onnx.helper.make_tensor_value_info("s", 1, ["N", 8, 8, 8])
        proto.graph.value_info.append(value)
    onnx.save(proto, tmp_path / "net.onnx")
    settings = CutSettings(source=str(tmp_path / "net.onnx"), out=tmp_path / "half", keep=0.5)
    outcome = cut(settings, Silent())
    frozen = dict(outcome.base.plan.frozen)
    assert "no rule for op MeanVarianceNormalization" in frozen["narrow"]
    assert "op MeanVarianceNormalization" in outcome.gate.untried
    # Without a size, what comes after stays whole too.
    assert outcome.widths == ((4, 3) if shape else (4,))
    unknown = () if shape else ("mid.weight", "last.weight")
    assert outcome.base.cost_model.uncounted == unknown
    kept = onnx.load(tmp_path / "half/model.onnx").graph.value_info
    assert [value.name for value in kept] == (["s"] if shape else [])


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
