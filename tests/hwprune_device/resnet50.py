"""ResNet-50 as an ONNX graph with random weights, written node by node: no exporter is needed.

The graph has BatchNorm alive and weights named as torchvision's module has them, as a traced one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

BLOCKS = (3, 4, 6, 3)
_WIDTHS = (64, 128, 256, 512)
_EXPANSION = 4


class _Writer:
    """Nodes and weights, as they are added."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self._random = np.random.default_rng(0)

    def weight(self, name: str, shape: Sequence[int], scale: float) -> str:
        values = self._random.standard_normal(shape, np.float32) * np.float32(scale)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(self, value: str, path: str, shape: Sequence[int], stride: int = 1) -> str:
        """A convolution of shape (out, in, kernel, kernel) with its BatchNorm behind it."""
        out, inside, kernel, _ = shape
        pads = [kernel // 2] * 4
        weight = self.weight(f"{path}.weight", shape, (2 / inside / kernel**2) ** 0.5)
        strides, name = [stride] * 2, f"{path}.out"
        convolved = self.node("Conv", [value, weight], name, strides=strides, pads=pads)
        norm = path.replace("conv", "bn") if "conv" in path else path[:-1] + "1"
        constants = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
        for role, number in constants.items():
            array = np.full(out, number, np.float32)
            self.weights.append(numpy_helper.from_array(array, f"{norm}.{role}"))
        names = [convolved, *(f"{norm}.{role}" for role in constants)]
        return self.node("BatchNormalization", names, f"{norm}.out")

    def relu(self, value: str) -> str:
        return self.node("Relu", [value], f"{value}.relu")


def resnet50(blocks: Sequence[int] = BLOCKS, *, size: int = 224, classes: int = 1000) -> bytes:
    """N x 3 x size x size to N x classes; fewer `blocks` give a network of the same kind."""
    writer = _Writer()
    value = writer.relu(writer.conv("x", "conv1", (64, 3, 7, 7), stride=2))
    value = writer.node(
        "MaxPool", [value], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
    )
    channels = 64
    for stage, (count, width) in enumerate(zip(blocks, _WIDTHS, strict=True), 1):
        for block in range(count):
            stride = 2 if stage > 1 and block == 0 else 1
            value = _bottleneck(writer, value, f"layer{stage}.{block}", channels, width, stride)
            channels = width * _EXPANSION
    value = writer.node("GlobalAveragePool", [value], "pooled")
    value = writer.node("Flatten", [value], "flat")
    writer.weight("fc.weight", (classes, channels), channels**-0.5)
    writer.weights.append(numpy_helper.from_array(np.zeros(classes, np.float32), "fc.bias"))
    writer.node("Gemm", [value, "fc.weight", "fc.bias"], "y", transB=1)
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, size, size])
    logits = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", classes])
    graph = helper.make_graph(writer.nodes, "resnet50", [image], [logits], writer.weights)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def _bottleneck(
    writer: _Writer, value: str, path: str, channels: int, width: int, stride: int
) -> str:
    out = width * _EXPANSION
    inner = writer.relu(writer.conv(value, f"{path}.conv1", (width, channels, 1, 1)))
    inner = writer.relu(writer.conv(inner, f"{path}.conv2", (width, width, 3, 3), stride))
    inner = writer.conv(inner, f"{path}.conv3", (out, width, 1, 1))
    if stride > 1 or channels != out:
        value = writer.conv(value, f"{path}.downsample.0", (out, channels, 1, 1), stride)
    return writer.relu(writer.node("Add", [inner, value], f"{path}.add"))


def at_share(widths: Sequence[int], share: float, multiple: int = 8) -> tuple[int, ...]:
    """Every width cut to a share of it, in steps that tensor cores like."""
    return tuple(
        width if share >= 1 else max(multiple, round(width * share / multiple) * multiple)
        for width in widths
    )
