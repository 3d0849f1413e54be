"""Small networks of several inputs and outputs, and of other shapes than images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

CHANNELS, LENGTH, WIDTH, WORDS, CLASSES = 3, 8, 6, 11, 4
FLOAT, HALF, IDS = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
Value = tuple[str, int, Sequence[Any]]
"""Name, element type and shape."""


def network(
    nodes: Sequence[NodeProto],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    weights: Sequence[TensorProto],
    batch: int | None = None,
) -> bytes:
    """An ONNX network; `batch` in place of "N", where it shall be fixed."""
    values = [
        [
            helper.make_tensor_value_info(
                name, kind, [batch if batch and size == "N" else size for size in shape]
            )
            for name, kind, shape in some
        ]
        for some in (inputs, outputs)
    ]
    graph = helper.make_graph(list(nodes), "network", *values, list(weights))
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def weight(name: str, *shape: int) -> TensorProto:
    """Random numbers."""
    values = np.random.default_rng(len(name)).standard_normal(shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def heard_and_read(
    batch: int | None = None, names: Sequence[str] = ("scores", "likeliest", "halves")
) -> bytes:
    """A signal N x C x L and words N x L (int64) in; of its outputs those that are named, in an
    order that is not that in which they are computed: scores N x K, the likeliest class N (int64),
    halves N x W x L, which leave no channels to be cut.
    """
    outputs: dict[str, tuple[int, Sequence[Any]]] = {
        "scores": (FLOAT, ["N", CLASSES]),
        "likeliest": (IDS, ["N"]),
        "halves": (HALF, ["N", WIDTH, LENGTH]),
    }
    nodes = [
        helper.make_node("Conv", ["signal", "conv"], ["heard"], "conv", pads=[1, 1]),
        helper.make_node("Gather", ["table", "words"], ["rows"], "table"),
        helper.make_node("Transpose", ["rows"], ["read"], "turn", perm=[0, 2, 1]),
        helper.make_node("Add", ["heard", "read"], ["both"], "both"),
        helper.make_node("Relu", ["both"], ["mixed"], "relu"),
        helper.make_node("Cast", ["mixed"], ["halves"], "halves", to=HALF),
        helper.make_node("GlobalAveragePool", ["mixed"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flat"),
        helper.make_node("Gemm", ["flat", "fc"], ["scores"], "fc", transB=1),
        helper.make_node("ArgMax", ["scores"], ["likeliest"], "most", axis=1, keepdims=0),
    ]
    return network(
        nodes,
        [("signal", FLOAT, ["N", CHANNELS, LENGTH]), ("words", IDS, ["N", LENGTH])],
        [(name, *outputs[name]) for name in names],
        [
            weight("conv", WIDTH, CHANNELS, 3),
            weight("table", WORDS, WIDTH),
            weight("fc", CLASSES, WIDTH),
        ],
        batch,
    )


def heard_and_read_inputs(count: int) -> list[np.ndarray]:
    """What that network takes."""
    random = np.random.default_rng(1)
    signal = random.standard_normal((count, CHANNELS, LENGTH)).astype(np.float32)
    return [signal, random.integers(0, WORDS, (count, LENGTH))]


def signals(batch: int | None = None) -> bytes:
    """N x C x L in, N x K out."""
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["c"], "conv", pads=[1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flat"),
        helper.make_node("Gemm", ["flat", "fc"], ["y"], "fc", transB=1),
    ]
    return network(
        nodes,
        [("x", FLOAT, ["N", CHANNELS, LENGTH])],
        [("y", FLOAT, ["N", CLASSES])],
        [weight("conv", WIDTH, CHANNELS, 3), weight("fc", CLASSES, WIDTH)],
        batch,
    )


def rows(batch: int | None = None) -> bytes:
    """N x L in, N x K out."""
    nodes = [
        helper.make_node("Gemm", ["x", "hidden"], ["h"], "hidden", transB=1),
        helper.make_node("Relu", ["h"], ["r"], "relu"),
        helper.make_node("Gemm", ["r", "last"], ["y"], "last", transB=1),
    ]
    return network(
        nodes,
        [("x", FLOAT, ["N", LENGTH])],
        [("y", FLOAT, ["N", CLASSES])],
        [weight("hidden", WIDTH, LENGTH), weight("last", CLASSES, WIDTH)],
        batch,
    )


def with_mean(batch: int | None = None) -> bytes:
    """N x L in; twice as much out, and the mean of all, which has no batch axis."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["y"], "twice"),
        helper.make_node("ReduceMean", ["y"], ["mean"], "mean", keepdims=0),
    ]
    outputs = [("y", FLOAT, ["N", LENGTH]), ("mean", FLOAT, [])]
    return network(nodes, [("x", FLOAT, ["N", LENGTH])], outputs, [], batch)


def chosen(mask: str, first: str, second: str) -> bytes:
    """Of halves and numbers (int32) what truth values choose, N x L all; inputs named as given."""
    nodes = [
        helper.make_node("Cast", [first], ["one"], "one", to=FLOAT),
        helper.make_node("Cast", [second], ["other"], "other", to=FLOAT),
        helper.make_node("Where", [mask, "one", "other"], ["y"], "choose"),
    ]
    kinds = {mask: TensorProto.BOOL, first: HALF, second: TensorProto.INT32}
    inputs = [(name, kind, ["N", LENGTH]) for name, kind in kinds.items()]
    return network(nodes, inputs, [("y", FLOAT, ["N", LENGTH])], [])


def doubled_in_float64() -> bytes:
    """N x L in and out, in float64."""
    shape = ["N", LENGTH]
    node = helper.make_node("Add", ["x", "x"], ["y"], "twice")
    return network(
        [node], [("x", TensorProto.DOUBLE, shape)], [("y", TensorProto.DOUBLE, shape)], []
    )


def numbers(*shape: int) -> np.ndarray:
    """Random float32."""
    return np.random.default_rng(2).standard_normal(shape).astype(np.float32)
