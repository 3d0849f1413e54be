"""Half precision inside a graph: it computes the same, with numbers that half can say."""

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
from hwprune_device.precision.half import clamped_values, to_half
from hwprune_device.precision.half_rules import KEPT
from tests.hwprune_device.precision.graphs import (
    FLOAT,
    HALF,
    kinds,
    model,
    run,
    sound,
    types,
    undone,
    weights,
)
from tests.traced import randomise_norms, relative, traced

BF16 = TensorProto.BFLOAT16
NETWORKS = ["digits_cnn", "cifar_resnet20", "short_mobilenet"]


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


@pytest.mark.parametrize(
    "name", [*NETWORKS, pytest.param("efficientnet", marks=pytest.mark.heavy)]
)
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


@pytest.mark.parametrize("name", NETWORKS)
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
    assert half == base or undone(half) == []
    assert [o.name for o in half.graph.output] == [o.name for o in base.graph.output]
    inputs = weights(2, 4, 4, seed=5)
    for found, expected in zip(run(half, x=inputs), run(base, x=inputs), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.05 * np.abs(expected).max())
    sound(to_half(base, "bf16"))
