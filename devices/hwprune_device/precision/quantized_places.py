"""Which inputs of which operators of a graph are worth an int8 tensor in TensorRT."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import GraphProto, NodeProto

from hwprune_device.precision.tensors import constants

_WEIGHTED = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedInput:
    """One input of one operator that is to be int8."""

    node: int
    """The operator's number in the graph."""
    input: int
    tensor: str
    axis: int | None = None
    """The axis of output channels; None for one scale."""
    weights: np.ndarray | None = None
    """The tensor's values, where they are constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The inputs of a graph that are to be int8, by operator."""

    by_node: dict[int, list[QuantizedInput]] = field(default_factory=lambda: defaultdict(list))
    activations: dict[str, None] = field(default_factory=dict)
    """In the order in which they are first read."""

    def of(self, node: int) -> Sequence[QuantizedInput]:
        """Those of one operator, by its number in the graph."""
        return self.by_node.get(node, ())

    def add(self, entry: QuantizedInput) -> None:
        """Take one in."""
        self.by_node[entry.node].append(entry)
        if entry.weights is None:
            self.activations.setdefault(entry.tensor)


def find_places(graph: GraphProto) -> Places:
    """Inputs and weights of Conv, Gemm and MatMul, and the shortcuts of residual Adds.

    Weights must be constant float32; a MatMul of two activations is left alone, and so are biases.
    """
    known, places, wiring = constants(graph), Places(), _Wiring(graph)
    for at, node in enumerate(wiring.nodes):
        if node.op_type in _WEIGHTED and node.input[0] not in known:
            reader, slot = wiring.weight_reader(at)
            tensor = wiring.nodes[reader].input[slot]
            if tensor not in known:
                continue
            axis = _channel_axis(wiring.nodes[reader], known[tensor])
            places.add(QuantizedInput(node=at, input=0, tensor=node.input[0]))
            places.add(
                QuantizedInput(
                    node=reader, input=slot, tensor=tensor, axis=axis, weights=known[tensor]
                )
            )
        elif node.op_type == "Add" and not set(node.input) & known.keys():
            shortcut = wiring.shortcut(node)
            if shortcut is not None:
                places.add(QuantizedInput(node=at, input=shortcut, tensor=node.input[shortcut]))
    return places


def _channel_axis(node: NodeProto, weights: np.ndarray) -> int | None:
    """Where the weights of an operator have their output channels."""
    if node.op_type == "Conv":
        return 0
    if weights.ndim != 2:
        return None
    # Its input is a Linear's weight: out x in.
    if node.op_type == "Transpose":
        return 0
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if transposed else 1


class _Wiring:
    """Who makes and who reads the tensors of a graph."""

    def __init__(self, graph: GraphProto) -> None:
        self.nodes = list(graph.node)
        self._maker = {name: at for at, n in enumerate(self.nodes) for name in n.output if name}
        self._readers: dict[str, int] = defaultdict(int)
        for node in self.nodes:
            for name in node.input:
                self._readers[name] += 1
        for entry in graph.output:
            self._readers[entry.name] += 1

    def weight_reader(self, at: int) -> tuple[int, int]:
        """Which operator reads the weights of number `at`, and as which input.

        That is itself, or a Transpose of its own in front of it.
        """
        name = self.nodes[at].input[1]
        maker = self._maker.get(name)
        if maker is None or self._readers[name] > 1:
            return at, 1
        turned = self.nodes[at].op_type == "MatMul" and self.nodes[maker].op_type == "Transpose"
        return (maker, 0) if turned else (at, 1)

    def shortcut(self, add: NodeProto) -> int | None:
        """Which input of an Add is the shortcut of a residual block; None where it is no block.

        TensorRT fuses an Add into the convolution in front of it if the other input is int8; a
        pair on the convolution's own result would keep the two apart. Where both inputs come from
        a convolution, the shortcut is the branch with fewer of them.
        """
        depths = [self._convolutions(name) for name in add.input]
        if len(depths) != 2 or not any(depths):
            return None
        return 0 if depths[0] < depths[1] else 1

    def _convolutions(self, name: str) -> int:
        """Convolutions on the way back to where the branch began; 0 unless it ends in one."""
        if not self._ends_in_convolution(name):
            return 0
        count = 0
        # Up to a tensor that several read: there the branch began.
        while name in self._maker and (count == 0 or self._readers[name] == 1):
            node = self.nodes[self._maker[name]]
            count += node.op_type == "Conv"
            if not node.input:
                break
            name = node.input[0]
        return count

    def _ends_in_convolution(self, name: str) -> bool:
        """Whether only this Add reads a convolution, with or without its normalisation."""
        while name in self._maker and self._readers[name] == 1:
            node = self.nodes[self._maker[name]]
            if node.op_type == "Conv":
                return True
            if node.op_type != "BatchNormalization":
                return False
            name = node.input[0]
        return False
