"""Half precision inside a graph: it computes the same, and nothing else about it changes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torchvision.models.efficientnet import MBConvConfig

from hwprune.network.trace import trace
from hwprune_device.runtimes.half import clamped_values, to_half
from hwprune_device.runtimes.half_rules import KEPT
from tests.hwprune_device.runtimes.graphs import (
    FLOAT,
    kinds,
    model,
    run,
    sound,
    types,
    weights,
)
from tests.traced import randomise_norms, relative, traced

HALF = TensorProto.FLOAT16
BF16 = TensorProto.BFLOAT16
NETWORKS = ["digits_cnn", "cifar_resnet20", "resnet18", "mobilenet_v2"]


def small_efficientnet() -> torch.nn.Module:
    """Squeeze-and-excitation, SiLU and depthwise convolutions, in two stages."""
    stages = [
        MBConvConfig(1, 3, 1, 16, 16, 1, 1.0, 1.0),
        MBConvConfig(4, 5, 2, 16, 24, 2, 1.0, 1.0),
    ]
    torch.manual_seed(0)
    made = torchvision.models.EfficientNet(stages, dropout=0.0, num_classes=10, last_channel=64)
    randomise_norms(made)
    return made.eval()


def network(name: str) -> tuple[ModelProto, np.ndarray]:
    """A traced network of the zoo or of torchvision, and inputs (N C H W) for it."""
    if name == "efficientnet":
        example = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        made = trace(small_efficientnet(), example)
        return onnx.load_model_from_string(made), example.numpy()
    found = traced(name)
    return onnx.load_model_from_string(found.base.onnx), found.example.numpy()


def only_output(given: ModelProto, inputs: np.ndarray) -> np.ndarray:
    return run(given, **{given.graph.input[0].name: inputs})[0]


@pytest.mark.parametrize("name", [*NETWORKS, "efficientnet"])
def test_a_real_network_computes_the_same_in_fp16(name: str):
    base, inputs = network(name)
    half = sound(to_half(base, "fp16"))
    assert relative(only_output(half, inputs), only_output(base, inputs)) < 0.01
    found = types(half)
    for node in kinds(half.graph, "Conv") + kinds(half.graph, "Gemm"):
        assert {found[n] for n in (*node.input, *node.output) if n} == {HALF}
    assert found[half.graph.input[0].name] == found[half.graph.output[0].name] == FLOAT
    # One Cast in, one out, and two around each operator that stays in float32.
    kept = sum(node.op_type in KEPT for node in half.graph.node)
    assert len(kinds(half.graph, "Cast")) <= 2 + 2 * kept


@pytest.mark.parametrize("name", [*NETWORKS, "efficientnet"])
def test_a_real_network_is_sound_in_bf16_too(name: str):
    base, _ = network(name)
    made = sound(to_half(base, "bf16"))
    found = types(made)
    for node in kinds(made.graph, "Conv"):
        assert {found[n] for n in (*node.input, *node.output) if n} == {BF16}
    assert len(kinds(made.graph, "Conv")) == len(kinds(base.graph, "Conv"))


def test_bf16_computes_the_same_within_its_three_digits():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    base = model(nodes, {"x": [4, 16]}, ["y"], {"w": weights(16, 8), "b": weights(8)})
    inputs = weights(4, 16, seed=1)
    expected = run(base, x=inputs)[0]
    made = sound(to_half(base, "bf16"))
    found = np.asarray(ReferenceEvaluator(made).run(None, {"x": inputs})[0])
    assert found.dtype == np.float32
    assert 0 < relative(found, expected) < 0.02


def test_numbers_beyond_fp16_become_its_largest_and_are_counted():
    numbers = np.array([1e6, -3e38, np.inf, -np.inf, 65504, 1e-9, -1e-9, 7], np.float32)
    base = model([helper.make_node("Add", ["x", "w"], ["y"])], {"x": [8]}, ["y"], {"w": numbers})
    half = sound(to_half(base, "fp16"))
    (kept,) = (numpy_helper.to_array(w) for w in half.graph.initializer)
    assert kept.tolist() == [65504, -65504, np.inf, -np.inf, 65504, 0, 0, 7]
    assert np.signbit(kept[6])
    assert clamped_values(half) == 2 and clamped_values(base) == 0
    # bf16 has the range of float32, and rounds to the nearest.
    (bits,) = (np.frombuffer(w.raw_data, "<u2") for w in to_half(base, "bf16").graph.initializer)
    back = (bits.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_allclose(back, numbers, rtol=2**-8)


@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_bf16_is_rounded_as_ml_dtypes_does(values):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    numbers = np.array(values, np.float32)
    base = model(
        [helper.make_node("Add", ["x", "w"], ["y"])], {"x": [len(numbers)]}, ["y"], {"w": numbers}
    )
    (made,) = to_half(base, "bf16").graph.initializer
    found = np.frombuffer(made.raw_data, ml_dtypes.bfloat16).astype(np.float32)
    expected = numbers.astype(ml_dtypes.bfloat16).astype(np.float32)
    inside = np.isfinite(expected) | ~np.isfinite(numbers)
    np.testing.assert_array_equal(found[inside], expected[inside])
    assert np.isfinite(found[~inside]).all()


def test_a_normalisation_keeps_its_effect_where_its_own_numbers_have_no_half():
    nodes = [helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])]
    parts = {
        "s": np.array([3e-3, 400, 1], np.float32),
        "b": np.array([0.5, -1, 0], np.float32),
        "m": np.array([1e-3, 1e5, 0], np.float32),
        "v": np.array([1e-9, 1e10, 1], np.float32),
    }
    base = model(nodes, {"x": [2, 3, 4, 4]}, ["y"], parts)
    inputs = weights(2, 3, 4, 4)
    half = sound(to_half(base, "fp16"))
    assert relative(only_output(half, inputs), only_output(base, inputs)) < 2e-3
    assert clamped_values(half) == 0


def test_a_graph_that_is_half_already_is_given_back_unchanged():
    base, _ = network("digits_cnn")
    once = to_half(base, "fp16")
    assert to_half(once, "fp16") == once
    kept = model([helper.make_node("Softmax", ["x"], ["y"])], {"x": [2, 8]}, ["y"])
    assert to_half(kept, "fp16") == kept


def test_an_input_that_is_fp16_stays_so_and_gets_no_cast():
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=FLOAT),
        helper.make_node("Conv", ["f", "w"], ["y"]),
    ]
    base = model(nodes, {"x": [1, 3, 8, 8]}, ["y"], {"w": weights(4, 3, 3, 3)}, types={"x": HALF})
    half = sound(to_half(base, "fp16"))
    assert [n.op_type for n in half.graph.node] == ["Conv", "Cast"]
    assert types(half)["x"] == HALF and types(half)["y"] == FLOAT
    inputs = weights(1, 3, 8, 8).astype(np.float16)
    assert relative(run(half, x=inputs)[0], run(base, x=inputs)[0]) < 0.01


def test_casts_that_undo_each_other_are_left_out():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Cast", ["a"], ["b"], to=HALF),
        helper.make_node("Cast", ["b"], ["c"], to=FLOAT),
        helper.make_node("Exp", ["c"], ["d"]),
        helper.make_node("ReduceSum", ["d"], ["e"]),
        helper.make_node("Div", ["d", "e"], ["y"]),
    ]
    half = sound(to_half(model(nodes, {"x": [4]}, ["y"]), "fp16"))
    # What goes on from an Exp in float32 stays there: its halves would be infinite.
    found = types(half)
    assert [n.op_type for n in half.graph.node if n.op_type != "Cast"] == [
        "Relu",
        "Exp",
        "ReduceSum",
        "Div",
    ]
    assert all(found[kinds(half.graph, op)[0].output[0]] == FLOAT for op in ("Exp", "Div"))
    assert pairs(half) == []


def pairs(half: ModelProto) -> list[str]:
    """Casts from half to float32 whose result is only cast back."""
    makers = {n.output[0]: n for n in half.graph.node if n.op_type == "Cast"}
    found = types(half)
    return [
        n.output[0]
        for n in makers.values()
        if found[n.output[0]] == HALF
        and (before := makers.get(n.input[0])) is not None
        and found[before.input[0]] == HALF
        and found[before.output[0]] == FLOAT
    ]


def test_what_an_operator_wants_in_float32_stays():
    scales = {"none": np.zeros(0, np.float32), "s": np.array([1, 1, 2, 2], np.float32)}
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Resize", ["a", "none", "s"], ["y"], mode="linear"),
    ]
    half = sound(to_half(model(nodes, {"x": [1, 2, 4, 4]}, ["y"], scales), "fp16"))
    resize = kinds(half.graph, "Resize")[0]
    found = types(half)
    assert [found[n] for n in resize.input] == [HALF, HALF, FLOAT]


def test_the_arithmetic_of_shapes_keeps_its_whole_numbers():
    """2049 is no fp16: a size that is worked out in it would be another one."""
    nodes = [
        helper.make_node("Shape", ["x"], ["n"]),
        helper.make_node("Cast", ["n"], ["f"], to=FLOAT),
        helper.make_node("Mul", ["f", "one"], ["g"]),
        helper.make_node("Cast", ["g"], ["size"], to=TensorProto.INT64),
        helper.make_node("Expand", ["w", "size"], ["big"]),
        helper.make_node("Add", ["x", "big"], ["y"]),
    ]
    numbers = {"one": np.ones(1, np.float32), "w": np.ones(1, np.float32)}
    half = sound(to_half(model(nodes, {"x": [2049]}, ["y"], numbers), "fp16"))
    assert run(half, x=np.zeros(2049, np.float32))[0].shape == (2049,)


def test_constants_and_constant_shapes_become_half():
    nodes = [
        helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0]),
        helper.make_node("Constant", [], ["d"], value=numpy_helper.from_array(weights(2))),
        helper.make_node("Constant", [], ["size"], value_ints=[2]),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("Add", ["x", "c"], ["a"]),
        helper.make_node("Mul", ["a", "d"], ["b"]),
        helper.make_node("Add", ["b", "zeros"], ["y"]),
    ]
    base = model(nodes, {"x": [2]}, ["y"])
    half = sound(to_half(base, "fp16"))
    found = types(half)
    floats = [n for n, kind in found.items() if kind == FLOAT]
    assert sorted(floats) == ["x", "y"]
    inputs = weights(2, seed=3)
    np.testing.assert_allclose(
        run(half, x=inputs)[0], run(base, x=inputs)[0], rtol=5e-3, atol=1e-3
    )


def branches() -> ModelProto:
    """Two branches that read a weight and an activation from outside."""

    def branch(op: str, out: str) -> onnx.GraphProto:
        nodes = [
            helper.make_node(op, ["a", "w"], [f"{out}_in"]),
            helper.make_node("Relu", [f"{out}_in"], [out]),
        ]
        result = helper.make_tensor_value_info(out, FLOAT, None)
        return helper.make_graph(nodes, out, [], [result])

    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
        helper.make_node("Greater", ["top", "limit"], ["high"]),
        helper.make_node(
            "If",
            ["high"],
            ["b"],
            then_branch=branch("MatMul", "then"),
            else_branch=branch("Add", "else"),
        ),
        helper.make_node("Mul", ["b", "w"], ["y"]),
    ]
    numbers = {"w": weights(4, 4), "limit": np.array(0.5, np.float32)}
    return model(nodes, {"x": [4, 4]}, ["y"], numbers)


def test_bodies_are_converted_and_their_borders_are_not():
    base = branches()
    half = sound(to_half(base, "fp16"))
    for graph in (a.g for a in kinds(half.graph, "If")[0].attribute):
        assert [n.op_type for n in graph.node][-2:] == ["Relu", "Cast"]
        assert all(name.endswith("_fp16") for name in graph.node[-2].input)
    for level in (0.1, 2.0):
        inputs = np.full((4, 4), level, np.float32)
        np.testing.assert_allclose(
            run(half, x=inputs)[0], run(base, x=inputs)[0], rtol=1e-2, atol=1e-3
        )


def test_the_state_of_a_loop_stays_what_its_borders_say():
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("MatMul", ["state", "w"], ["next"]),
            helper.make_node("Relu", ["next"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", FLOAT, [4, 4]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", FLOAT, [4, 4]),
        ],
    )
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Loop", ["turns", "", "a"], ["b"], body=body),
        helper.make_node("MatMul", ["b", "w"], ["y"]),
    ]
    numbers = {"w": np.abs(weights(4, 4)), "turns": np.array(3)}
    base = model(nodes, {"x": [4, 4]}, {"y": [4, 4]}, numbers)
    half = sound(to_half(base, "fp16"))
    (inner,) = (a.g for a in kinds(half.graph, "Loop")[0].attribute)
    assert {types(half)[n] for n in kinds(half.graph, "MatMul")[0].input} == {HALF}
    assert kinds(inner, "MatMul")[0].input[0].endswith("_fp16")
    inputs = weights(4, 4, seed=2, scale=1.0)
    assert relative(run(half, x=inputs)[0], run(base, x=inputs)[0]) < 0.01


def test_a_function_of_the_model_is_written_out_first():
    function = helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 18)],
    )
    graph = helper.make_graph(
        [helper.make_node("Twice", ["x"], ["y"], domain="own")],
        "test",
        [helper.make_tensor_value_info("x", FLOAT, [3])],
        [helper.make_tensor_value_info("y", FLOAT, [3])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    base = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=9)
    half = sound(to_half(base, "fp16"))
    assert [n.op_type for n in half.graph.node] == ["Cast", "Add", "Cast"]


def test_what_cannot_be_converted_is_named():
    base = model([helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, ["y"])
    with pytest.raises(ValueError, match="possible: fp16, bf16"):
        to_half(base, "fp8")  # type: ignore[arg-type]
    own = helper.make_node("Mine", ["x"], ["a"], name="first", domain="own")
    graph = helper.make_graph(
        [own, helper.make_node("Relu", ["a"], ["y"])],
        "test",
        list(base.graph.input),
        list(base.graph.output),
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    with pytest.raises(ValueError, match=r"node 'first' \(Mine\) makes 'a'"):
        to_half(helper.make_model(graph, opset_imports=opsets, ir_version=9), "fp16")


def test_an_operator_that_is_not_onnxs_stays_in_float32_between_casts():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Gelu", ["a"], ["b"], domain="com.microsoft"),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(n, FLOAT, [4]) for n in "xaby"]
    graph = helper.make_graph(nodes, "test", values[:1], values[3:], value_info=values[1:3])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    base = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    half = to_half(base, "fp16")
    inputs = weights(4, scale=2)
    np.testing.assert_allclose(run(half, x=inputs)[0], run(base, x=inputs)[0], atol=5e-3)


UNARY = ("Relu", "Sigmoid", "Tanh", "Exp", "Softmax", "Abs", "Neg", "Identity", "LogSoftmax")
BINARY = ("Add", "Mul", "Sub", "Max", "Min")


@st.composite
def graphs(draw: st.DrawFn) -> ModelProto:
    """Random graphs on tensors of 2 x 4 x 4, with constants, casts and reductions within."""
    nodes, there = [], ["x"]
    constants = {"w": weights(4, 4), "c": weights(1, 4, 1)}
    for at in range(draw(st.integers(1, 12))):
        made, first = f"t{at}", draw(st.sampled_from(there))
        kind = draw(st.sampled_from(("unary", "binary", "weight", "cast", "mean", "constant")))
        if kind == "unary":
            op = draw(st.sampled_from(UNARY))
            if op == "Exp":
                nodes.append(helper.make_node("Tanh", [first], [f"{made}_bound"]))
                first = f"{made}_bound"
            nodes.append(helper.make_node(op, [first], [made]))
        elif kind == "binary":
            second = draw(st.sampled_from(there))
            nodes.append(helper.make_node("Tanh", [second], [f"{made}_bound"]))
            op = draw(st.sampled_from(BINARY))
            nodes.append(helper.make_node(op, [first, f"{made}_bound"], [made]))
        elif kind == "weight":
            nodes.append(helper.make_node("MatMul", [first, "w"], [made]))
        elif kind == "cast":
            to = draw(st.sampled_from((HALF, TensorProto.DOUBLE)))
            nodes.append(helper.make_node("Cast", [first], [f"{made}_as"], to=to))
            nodes.append(helper.make_node("Cast", [f"{made}_as"], [made], to=FLOAT))
        elif kind == "mean":
            nodes.append(helper.make_node("ReduceMean", [first], [f"{made}_mean"]))
            nodes.append(helper.make_node("Sub", [first, f"{made}_mean"], [made]))
        else:
            nodes.append(helper.make_node("Add", [first, "c"], [made]))
        there.append(made)
    outputs = sorted({there[-1], *draw(st.lists(st.sampled_from(there[1:]), max_size=2))})
    return model(nodes, {"x": [2, 4, 4]}, outputs, constants)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_any_graph_stays_sound_and_computes_the_same(base: ModelProto):
    half = sound(to_half(base, "fp16"))
    assert to_half(half, "fp16") == half
    # A graph of Casts alone computes nothing, and is given back as it is.
    assert half == base or pairs(half) == []
    assert [o.name for o in half.graph.output] == [o.name for o in base.graph.output]
    inputs = weights(2, 4, 4, seed=5)
    for found, expected in zip(run(half, x=inputs), run(base, x=inputs), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.05 * np.abs(expected).max())
    sound(to_half(base, "bf16"))
