"""The layers of a graph by name, for the kernels that a runtime made of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import onnx

from hwprune_device.values import weight_origins

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators whose weights are multiplied with what they read."""
JOINT = " + "
"""Between the names of layers that one kernel computes."""


class Layers:
    """Which layer of a graph makes a value.

    A layer has the path of its weights, as the cost model has it; what has no weights has the
    name of its node.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._makers = {name: node for node in graph.node for name in node.output if name}
        self._nodes = {node.name: node.output[0] for node in graph.node if node.name}
        self._weights = weight_origins(graph)

    def __contains__(self, value: object) -> bool:
        return value in self._makers

    def made_by(self, node: str) -> str:
        """The first value of the node of that name; empty where there is none."""
        return self._nodes.get(node, "")

    def name(self, value: str) -> str:
        """The layer of the node that makes a value."""
        node = self._makers[value]
        if self._multiplies(value):
            weight = self._weights[node.input[1]]
            return weight.rpartition(".")[0] or weight
        weights = (self._weights.get(name, "") for name in node.input)
        # A constant that was a node's own is called after that node, with a slash.
        paths = (weight.rpartition(".")[0] for weight in weights if "/" not in weight)
        return next(filter(None, paths), node.name or value)

    def behind(self, value: str, others: Collection[str]) -> str:
        """The layer that a kernel computes which gives a value, with what was fused into it.

        Args:
            value: of the graph.
            others: values that other kernels give: there it ends.
        """
        return self.joint(list(self._fused(value, others))[::-1])

    def joint(self, values: Sequence[str]) -> str:
        """The layer of a kernel that computes the nodes which make these values, one at least.

        It is what multiplies with weights there; without any, what comes last.
        """
        # What multiplies takes nearly all the time: a fused ReLU goes by its convolution.
        names = [self.name(value) for value in values if self._multiplies(value)]
        return JOINT.join(dict.fromkeys(names)) or self.name(values[-1])

    def _fused(self, value: str, others: Collection[str]) -> Iterator[str]:
        """The first values of the nodes from the others' values to this one, last first."""
        waiting, seen = [value], {value}
        while waiting:
            node = self._makers[waiting.pop(0)]
            yield node.output[0]
            for name in node.input:
                if name in self._makers and name not in seen and name not in others:
                    seen.add(name)
                    waiting.append(name)

    def _multiplies(self, value: str) -> bool:
        node = self._makers[value]
        return node.op_type in PRODUCTS and len(node.input) > 1 and node.input[1] in self._weights
