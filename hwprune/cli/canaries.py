"""Canaries: small networks that are always the same, to tell whether boards still agree.

One for each kind of work that boards do at different speeds: dense and depthwise convolutions
(arithmetic, memory), and a matrix product over much weight (memory bandwidth).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

CHANNELS = 32
SIZE = 28
FEATURES = 1024


def canaries() -> Mapping[str, Callable[[], bytes]]:
    """Networks by name; each is built, as ONNX, when it is called for."""
    return {"convolutions": _convolutions, "depthwise": _depthwise, "matrix": _matrix}


def _convolutions() -> bytes:
    """Three dense 3 x 3 convolutions with ReLU."""
    return _chain([("conv", (CHANNELS, CHANNELS, 3, 3), 1)] * 3, (1, CHANNELS, SIZE, SIZE))


def _depthwise() -> bytes:
    """Two pairs of depthwise and pointwise convolutions."""
    pair = [
        ("conv", (CHANNELS, 1, 3, 3), CHANNELS),
        ("conv", (CHANNELS, CHANNELS, 1, 1), 1),
    ]
    return _chain(pair * 2, (1, CHANNELS, SIZE, SIZE))


def _matrix() -> bytes:
    """Two products with 1024 x 1024 weights."""
    return _chain([("gemm", (FEATURES, FEATURES), 1)] * 2, (1, FEATURES))


def _chain(layers: Sequence[tuple[str, tuple[int, ...], int]], shape: tuple[int, ...]) -> bytes:
    """Layers one after another, a ReLU after each; weights are the same at every call."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    nodes, weights, value = [], [], "x"
    for number, (kind, size, groups) in enumerate(layers):
        fan_in = int(np.prod(size[1:]))
        # By the root of the fan-in, so that values neither fade nor grow along the chain.
        data = random.standard_normal(size).astype(np.float32) / np.float32(fan_in**0.5)
        weights.append(numpy_helper.from_array(data, f"w{number}"))
        names = [value, f"w{number}"], [f"y{number}"]
        if kind == "conv":
            pad = size[2] // 2
            nodes.append(
                helper.make_node(
                    "Conv", *names, name=f"conv{number}", pads=[pad] * 4, group=groups
                )
            )
        else:
            nodes.append(helper.make_node("Gemm", *names, name=f"gemm{number}", transB=1))
        value = f"z{number}"
        nodes.append(helper.make_node("Relu", [f"y{number}"], [value], name=f"relu{number}"))
    graph = helper.make_graph(
        nodes,
        "canary",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()
