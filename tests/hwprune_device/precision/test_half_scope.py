"""The scope of a conversion to half: what of a graph becomes fp16, and what stays as it was."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from hwprune_device.precision.half import to_half
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
from tests.traced import relative


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
    assert undone(half) == []


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
