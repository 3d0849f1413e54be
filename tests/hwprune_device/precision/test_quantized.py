"""Q/DQ pairs: where they are, that the graph stays sound, and what a trained network loses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from hwprune.network import zoo
from hwprune.network.trace import trace
from hwprune.task.data import load_data
from hwprune_device.precision.half import to_half
from hwprune_device.precision.quantized import is_quantized, quantized_tensors, with_qdq
from hwprune_device.runtimes.onnxrt.options import DENORMALS
from hwprune_device.runtimes.ranges import observe_ranges
from tests.digits import CIFAR, images_of, labels_of
from tests.hwprune_device.precision.graphs import chain, kinds, model, run, sound, types, weights
from tests.traced import relative, traced


@pytest.fixture(autouse=True)
def keep_denormals(monkeypatch):
    """Of the tests' own process: flushing them would change arithmetic for all tests after."""
    monkeypatch.setenv(DENORMALS, "keep")


def network(name: str) -> ModelProto:
    return onnx.load_model_from_string(traced(name).base.onnx)


def test_pairs_stand_at_inputs_and_weights_alone():
    made = sound(with_qdq(chain()))
    assert quantized_tensors(chain()) == ("x", "r", "f")
    makers = {name: n for n in made.graph.node for name in n.output}
    for op, count in (("Conv", 2), ("Gemm", 1)):
        found = kinds(made.graph, op)
        assert len(found) == count
        for node in found:
            sources = [makers[name].op_type if name in makers else "" for name in node.input]
            assert sources[:2] == ["DequantizeLinear"] * 2
            assert set(sources[2:]) <= {""}
    # Between a convolution and its normalisation there is nothing.
    assert makers[kinds(made.graph, "BatchNormalization")[0].input[0]].op_type == "Conv"
    assert len(kinds(made.graph, "QuantizeLinear")) == 6


def test_scales_are_one_for_activations_and_one_a_channel_for_weights():
    made = with_qdq(chain(), {"x": 2.54, "r": 0.0, "f": 12.7})
    values = {w.name: numpy_helper.to_array(w) for w in made.graph.initializer}
    by_tensor = {n.input[0]: n for n in kinds(made.graph, "QuantizeLinear")}
    for tensor, expected in (("x", 0.02), ("f", 0.1)):
        scale = values[by_tensor[tensor].input[1]]
        assert scale.shape == () and scale == pytest.approx(expected)
    assert values[by_tensor["r"].input[1]] > 0
    for tensor in ("w0", "w1", "m"):
        node, given = by_tensor[tensor], values[tensor]
        assert helper.get_node_attr_value(node, "axis") == 0
        largest = np.abs(given.reshape(len(given), -1)).max(axis=1)
        np.testing.assert_allclose(values[node.input[1]], largest / 127, rtol=1e-6)
    zeros = [values[n.input[2]] for n in kinds(made.graph, "QuantizeLinear")]
    assert all(z.dtype == np.int8 and not z.any() for z in zeros)


def test_columns_are_the_channels_of_a_matrix_that_is_not_transposed():
    nodes = [
        helper.make_node("MatMul", ["x", "m"], ["a"]),
        helper.make_node("Gemm", ["a", "n"], ["b"]),
        helper.make_node("MatMul", ["b", "b2"], ["y"]),
    ]
    numbers = {"m": weights(4, 6), "n": weights(6, 5)}
    base = model(nodes, {"x": [3, 4], "b2": [5, 2]}, ["y"], numbers)
    made = sound(with_qdq(base))
    axes = [
        helper.get_node_attr_value(n, "axis") for n in kinds(made.graph, "QuantizeLinear")[1::2]
    ]
    assert axes == [1, 1]
    # A product of two activations is left alone.
    assert quantized_tensors(base) == ("x", "a")


def test_weights_that_are_transposed_first_are_quantised_before_that():
    nodes = [
        helper.make_node("Transpose", ["m"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["y"]),
    ]
    base = model(nodes, {"x": [3, 4]}, ["y"], {"m": weights(6, 4)})
    made = sound(with_qdq(base))
    assert [n.op_type for n in made.graph.node[:2]] == ["QuantizeLinear", "DequantizeLinear"]
    assert helper.get_node_attr_value(made.graph.node[0], "axis") == 0
    assert kinds(made.graph, "Transpose")[0].input[0] == made.graph.node[1].output[0]


def test_a_channel_of_zeros_has_a_scale_too():
    numbers = {"w": np.zeros((4, 3, 1, 1), np.float32)}
    base = model(
        [helper.make_node("Conv", ["x", "w"], ["y"])], {"x": [1, 3, 2, 2]}, ["y"], numbers
    )
    assert not run(with_qdq(base), x=weights(1, 3, 2, 2))[0].any()


def test_a_tensor_that_several_operators_read_is_quantised_once():
    for name in ("short_mobilenet", "cifar_resnet20"):
        made = sound(with_qdq(network(name)))
        sources = [n.input[0] for n in kinds(made.graph, "QuantizeLinear")]
        assert len(sources) == len(set(sources))


def residual(*, downsample: bool, swapped: bool) -> ModelProto:
    """A residual block whose Add has its branches in either order."""
    nodes = [
        helper.make_node("Relu", ["x"], ["start"]),
        helper.make_node("Conv", ["start", "w"], ["c1"]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w"], ["c2"]),
        helper.make_node("BatchNormalization", ["c2", "s", "z", "z", "s"], ["main"]),
    ]
    side = "start"
    if downsample:
        nodes.append(helper.make_node("Conv", ["start", "v"], ["side"]))
        side = "side"
    nodes.append(helper.make_node("Add", [side, "main"] if swapped else ["main", side], ["y"]))
    numbers = {"w": weights(4, 4, 1, 1), "v": weights(4, 4, 1, 1)}
    numbers |= {"s": np.ones(4, np.float32), "z": np.zeros(4, np.float32)}
    return model(nodes, {"x": [1, 4, 4, 4]}, ["y"], numbers)


@pytest.mark.parametrize("downsample", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_of_a_residual_block_the_shortcut_is_quantised_and_the_convolution_is_not(
    downsample: bool, swapped: bool
):
    made = sound(with_qdq(residual(downsample=downsample, swapped=swapped)))
    (add,) = kinds(made.graph, "Add")
    side = "side" if downsample else "start"
    assert sorted(add.input) == sorted(["main", f"{side}_dequantized"])


def test_an_add_that_closes_no_block_is_left_alone():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Add", ["r", "x"], ["y"]),
    ]
    base = model(nodes, {"x": [1, 4, 4, 4]}, ["y"], {"w": weights(4, 4, 1, 1)})
    assert list(kinds(with_qdq(base).graph, "Add")[0].input) == ["r", "x"]


def test_every_block_of_a_real_network_has_its_shortcut_quantised():
    for name, blocks in (("cifar_resnet20", 9), ("short_mobilenet", 1)):
        made = with_qdq(network(name))
        makers = {out: n.op_type for n in made.graph.node for out in n.output}
        adds = kinds(made.graph, "Add")
        assert len(adds) == blocks
        for add in adds:
            sources = [makers[n] for n in add.input]
            assert sources.count("DequantizeLinear") == 1, (name, add.name, sources)


def test_a_network_that_is_quantised_already_is_given_back_as_it_is():
    base = chain()
    once = with_qdq(base)
    assert is_quantized(once) and not is_quantized(base)
    assert with_qdq(once) == once


def test_what_cannot_be_quantised_is_said():
    relu = model([helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, ["y"])
    with pytest.raises(ValueError, match="nothing to quantise"):
        with_qdq(relu)
    with pytest.raises(ValueError, match="2 of 3 activations have no range, such as 'r'"):
        with_qdq(chain(), {"x": 1.0})
    with pytest.raises(ValueError, match="range of 'r' is nan"):
        with_qdq(chain(), {"x": 1.0, "r": float("nan"), "f": 1.0})
    with pytest.raises(ValueError, match="given: opset 12"):
        with_qdq(chain(opset=12))


def test_pairs_go_with_half_precision():
    base = chain()
    ranges = observe_ranges(base, [[weights(2, 3, 8, 8, seed=s)] for s in range(3)])
    half = sound(to_half(with_qdq(base, ranges), "fp16"))
    found = types(half)
    for node in kinds(half.graph, "Conv"):
        assert {found[n] for n in node.input} == {TensorProto.FLOAT16}
    inputs = weights(2, 3, 8, 8)
    assert relative(run(half, x=inputs)[0], run(base, x=inputs)[0]) < 0.05


def test_scales_of_quantised_tensors_are_half_from_the_opset_that_allows_it():
    base = model(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        {"x": [1, 3, 8, 8]},
        ["y"],
        {"w": weights(4, 3, 3, 3)},
        opset=17,
    )
    half = sound(to_half(with_qdq(base), "fp16"))
    found = types(half)
    conv = kinds(half.graph, "Conv")[0]
    assert {found[n] for n in conv.input} == {TensorProto.FLOAT16}
    assert {n.op_type for n in half.graph.node} == {
        "Cast",
        "QuantizeLinear",
        "DequantizeLinear",
        "Conv",
    }
    assert len(kinds(half.graph, "Cast")) == 2
    inputs = weights(1, 3, 8, 8)
    assert relative(run(half, x=inputs)[0], run(base, x=inputs)[0]) < 0.1


@pytest.mark.heavy
def test_int8_with_observed_ranges_costs_a_trained_network_little(
    cifar_root: Path, resnet20_weights: Path
):
    """ResNet-20 of the literature: 500 test images, ranges from 250 training images."""
    state = torch.load(resnet20_weights, weights_only=True, map_location="cpu")["state_dict"]
    module = zoo.cifar_resnet20()
    module.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    base = onnx.load_model_from_string(trace(module.eval(), torch.zeros(2, 3, 32, 32)))
    data = load_data("torchvision:CIFAR10", root=str(cifar_root), **CIFAR)
    images = images_of(data, "test", 500).numpy()
    labels = labels_of(data, "test")[:500].numpy()
    ranges = observe_ranges(base, [[images_of(data, "calibration", 250).numpy()]])
    name = base.graph.input[0].name

    def correct(given: ModelProto) -> int:
        answers = run(given, **{name: images})[0].argmax(axis=1)
        return int((answers == labels).sum())

    whole, small = correct(base), correct(sound(with_qdq(base, ranges)))
    assert whole > 440
    assert small >= whole - 5
    assert correct(to_half(base, "fp16")) >= whole - 1
