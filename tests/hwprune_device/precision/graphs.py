"""Small ONNX graphs for tests of what rewrites graphs, and how they are run and looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_shapes

FLOAT = TensorProto.FLOAT
HALF = TensorProto.FLOAT16


def model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sequence[int]],
    outputs: Sequence[str] | Mapping[str, Sequence[int]],
    weights: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = 18,
    types: Mapping[str, int] | None = None,
) -> ModelProto:
    """A graph whose inputs and outputs are float32 unless `types` says else."""
    kinds = types or {}
    results = outputs if isinstance(outputs, Mapping) else dict.fromkeys(outputs)
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(n, kinds.get(n, FLOAT), s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, kinds.get(n, FLOAT), s) for n, s in results.items()],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10 if opset > 21 else 9
    )
    return infer_shapes(made, check_type=True, strict_mode=True)


def weights(*shape: int, seed: int = 0, scale: float = 0.3) -> np.ndarray:
    """Random numbers."""
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def chain(*, opset: int = 18) -> ModelProto:
    """A convolution, one of groups and a matrix, with a bias, a BatchNormalization and ReLU."""
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "s", "b0", "b0", "s"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Conv", ["r", "w1"], ["c"], group=4),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "m", "g"], ["y"], transB=1),
    ]
    numbers = {
        "w0": weights(4, 3, 3, 3),
        "b0": weights(4, seed=1),
        "s": np.ones(4, np.float32),
        "w1": weights(4, 1, 3, 3, seed=2),
        "m": weights(10, 4, seed=3),
        "g": weights(10, seed=4),
    }
    return model(nodes, {"x": [2, 3, 8, 8]}, ["y"], numbers, opset=opset)


def run(given: ModelProto, **inputs: np.ndarray) -> list[np.ndarray]:
    """All outputs, in ONNX Runtime on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # ONNX Runtime 1.32 crashes on the fp16 graph of a vision transformer at its highest level.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = ort.InferenceSession(
        given.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def sound(given: ModelProto) -> ModelProto:
    """The graph, after ONNX found nothing to say against its types and shapes."""
    onnx.checker.check_model(given, full_check=True)
    return infer_shapes(given, check_type=True, strict_mode=True)


def types(given: ModelProto) -> dict[str, int]:
    """Element types of all tensors."""
    graph = infer_shapes(given).graph
    entries = (*graph.value_info, *graph.input, *graph.output)
    found = {entry.name: entry.type.tensor_type.elem_type for entry in entries}
    return found | {entry.name: entry.data_type for entry in graph.initializer}


def kinds(graph: GraphProto, op: str) -> list[NodeProto]:
    """The nodes of one operator."""
    return [node for node in graph.node if node.op_type == op]


def undone(half: ModelProto) -> list[str]:
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
