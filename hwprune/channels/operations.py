"""How a graph applies its layers: sizes, strides, and what follows up to the next layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx
from onnx import numpy_helper

from hwprune.channels.walk import attribute
from hwprune.operation import Operation
from hwprune_device.layers import PRODUCTS
from hwprune_device.values import Shape

_GATES = {"HardSigmoid": "HardSwish", "Sigmoid": "Swish"}
"""What x · gate(x) is called."""


def operations(
    model: onnx.ModelProto, shapes: Mapping[str, Shape], origin: Mapping[str, str]
) -> dict[str, Operation]:
    """By weight; without those used twice, and those whose first axis is not what they give.

    Args:
        shapes: of all values, at batch 1.
        origin: by value the weight that it is, quantised or turned.
    """
    followers = _Followers(model.graph)
    found: dict[str, Operation] = {}
    twice: set[str] = set()
    for node in model.graph.node:
        if node.op_type not in PRODUCTS:
            continue
        weight = origin.get(node.input[1], node.input[1])
        if weight in found:
            # Two applications of one weight may differ in size, so neither stands for both.
            twice.add(weight)
        operation = _operation(node, shapes, followers)
        if operation is not None:
            found[weight] = operation
    return {name: operation for name, operation in found.items() if name not in twice}


def _operation(
    node: onnx.NodeProto, shapes: Mapping[str, Shape], followers: _Followers
) -> Operation | None:
    bias = len(node.input) > 2 and bool(node.input[2])
    if node.op_type == "Gemm" and attribute(node, "transB", 0):
        return Operation(bias=bias, then=tuple(followers.of(node)))
    if node.op_type != "Conv":
        return None
    read, given = shapes.get(node.input[0], ()), shapes.get(node.output[0], ())
    # N C H W alone: other tools' tables know convolutions of images.
    if len(read) != 4 or not all(isinstance(size, int) for size in (*read[2:], *given[2:])):
        return None
    # The canonical form has written pads as numbers wherever they could be told.
    if attribute(node, "auto_pad", "NOTSET") != "NOTSET":
        return None
    return Operation(
        input_size=tuple(int(size) for size in read[2:]),
        output_size=tuple(int(size) for size in given[2:]),
        kernel=tuple(int(size) for size in shapes[node.input[1]][2:]),
        stride=tuple(attribute(node, "strides", (1, 1))),
        padding=tuple(attribute(node, "pads", (0, 0, 0, 0))),
        dilation=tuple(attribute(node, "dilations", (1, 1))),
        groups=int(attribute(node, "group", 1)),
        bias=bias,
        then=tuple(followers.of(node)),
    )


class _Followers:
    """What comes after each node, as long as one node alone reads it."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self._readers.setdefault(name, []).append(node)

    def of(self, node: onnx.NodeProto) -> Iterator[str]:
        """Their ONNX names, in order, up to the next layer."""
        value = node.output[0]
        while readers := self._readers.get(value, []):
            gate = self._gate(readers)
            if gate:
                name, value = gate
                yield name
                continue
            if len(readers) > 1:
                if any(self._is_elementwise(reader) for reader in readers):
                    yield "?"
                return
            (reader,) = readers
            if reader.op_type in PRODUCTS:
                return
            yield "Relu6" if self._is_relu6(reader) else reader.op_type
            value = reader.output[0]

    def _gate(self, readers: list[onnx.NodeProto]) -> tuple[str, str] | None:
        """Name and result of x · gate(x), where that is all that reads x."""
        by_type = {reader.op_type: reader for reader in readers}
        for gate, name in _GATES.items():
            if len(readers) == 2 and set(by_type) == {gate, "Mul"}:
                product = by_type["Mul"]
                if self._readers.get(by_type[gate].output[0], []) == [product]:
                    return name, product.output[0]
        return None

    def _is_elementwise(self, node: onnx.NodeProto) -> bool:
        """Whether it computes with a constant, or is a function: not a layer, sum or mean."""
        if node.op_type in ("Add", "Mul", "Sub", "Div"):
            return any(name in self._constants for name in node.input)
        return node.op_type in ("Clip", "Sigmoid", "HardSigmoid", "Tanh", "Softplus", "Erf")

    def _is_relu6(self, node: onnx.NodeProto) -> bool:
        if node.op_type != "Clip" or len(node.input) != 3:
            return False
        bounds = [self._constants.get(name) for name in node.input[1:]]
        told = [numpy_helper.to_array(bound).item() for bound in bounds if bound is not None]
        return told == [0.0, 6.0]
