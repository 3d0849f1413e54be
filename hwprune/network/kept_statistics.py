"""Statistics over channels, in a graph whose removed channels are still there: they are left out.

A zero is a number like others to a mean or a maximum, so silencing a channel does not remove it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hwprune.channels.nodes import replace_nodes
from hwprune.channels.walk import attribute
from hwprune_device.cut import KeptIndices
from hwprune_device.plan import CutPlan, Statistic
from hwprune_device.values import value_shapes

_AXES_AS_INPUT = 18
"""Opset from which a mean takes its axes as an input."""


def leave_out(proto: onnx.ModelProto, plan: CutPlan, indices: KeptIndices) -> None:
    """Let every statistic of the plan count only the channels that stay; changes the graph."""
    by_node: dict[str, list[Statistic]] = {}
    for statistic in plan.statistics:
        by_node.setdefault(statistic.node, []).append(statistic)
    if not by_node:
        return
    masks = _Masks(proto, indices)
    nodes: list[onnx.NodeProto] = []
    for node in proto.graph.node:
        found = by_node.get(node.name)
        if found is None:
            nodes.append(node)
        elif node.op_type in _NEUTRAL:
            # Layers are here for kernels that a formula makes: they are not zero where silenced.
            nodes += masks.reduced(node, found)
        else:
            nodes += masks.normalised(node, found)
    replace_nodes(proto.graph, nodes)


_NEUTRAL: Mapping[str, float] = {
    "ReduceMean": 0.0,
    "ReduceSum": 0.0,
    "ReduceL1": 0.0,
    "ReduceL2": 0.0,
    "ReduceSumSquare": 0.0,
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul"), 0.0),
    "ReduceMax": -math.inf,
    "ReduceMin": math.inf,
}
"""What a channel has to be for an op to compute as if it were not there."""
_First = Callable[[onnx.NodeProto, int], int]
_FIRST_AXIS: Mapping[str, _First] = {
    "LayerNormalization": lambda node, rank: int(attribute(node, "axis", -1)) % rank,
    "InstanceNormalization": lambda node, rank: 2,
    "GroupNormalization": lambda node, rank: 1,
}
"""From which axis on a normalisation takes its mean; GroupNormalization is of one group here."""


class _Masks:
    """Writes the nodes that do without the removed channels."""

    def __init__(self, proto: onnx.ModelProto, indices: KeptIndices) -> None:
        self._graph = proto.graph
        self._indices = indices
        self._shapes = value_shapes(proto)
        opset = next(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx"))
        self._axes_as_input = opset >= _AXES_AS_INPUT

    def reduced(
        self, node: onnx.NodeProto, statistics: Sequence[Statistic]
    ) -> list[onnx.NodeProto]:
        """The node behind a product or sum that hides the channels from it."""
        neutral, data = _NEUTRAL[node.op_type], node.input[0]
        there = self._there(data, statistics)
        if node.op_type == "ReduceMean":
            hide = self._of_kept(node, "hidden", data, there)
        elif neutral == 0:
            hide = [self._node(node, "Mul", "hidden", [data, self._constant(node, there)])]
        else:
            # Added and not multiplied: zero times infinity is no number.
            hidden = np.where(there > 0, 0.0, neutral)
            hide = [self._node(node, "Add", "hidden", [data, self._constant(node, hidden)])]
        node.input[0] = hide[-1].output[0]
        return [*hide, node]

    def normalised(
        self, node: onnx.NodeProto, statistics: Sequence[Statistic]
    ) -> list[onnx.NodeProto]:
        """(x - mean) / sqrt(variance + epsilon) * scale + shift, of the channels that stay."""
        data, rank = node.input[0], len(self._shapes[node.input[0]])
        first = _FIRST_AXIS[node.op_type](node, rank)
        there = self._there(data, statistics)
        mask = self._constant(node, there)
        epsilon = self._constant(node, np.array([attribute(node, "epsilon", 1e-5)]), "epsilon")
        nodes: list[onnx.NodeProto] = []

        def add(op_type: str, what: str, *inputs: str) -> str:
            nodes.append(self._node(node, op_type, what, list(inputs)))
            return str(nodes[-1].output[0])

        def mean(what: str, value: str) -> str:
            nodes.extend(self._of_kept(node, f"{what} of", value, there))
            nodes.append(self._mean(node, what, str(nodes[-1].output[0]), first))
            return str(nodes[-1].output[0])

        # The mean moves removed channels off zero; the mask keeps them out of the variance.
        centred = add("Mul", "centred", add("Sub", "moved", data, mean("mean", data)), mask)
        variance = mean("variance", add("Mul", "square", centred, centred))
        root = add("Sqrt", "root", add("Add", "under", variance, epsilon))
        result = add("Div", "normal", centred, root)
        for op_type, name in zip(("Mul", "Add"), node.input[1:], strict=False):
            if name:
                result = add(op_type, op_type, result, self._lined_up(node, name, rank, nodes))
        nodes[-1].output[0] = node.output[0]
        return nodes

    def _of_kept(
        self, node: onnx.NodeProto, what: str, value: str, there: np.ndarray
    ) -> list[onnx.NodeProto]:
        """What has the mean over all channels that `value` has over those that stay.

        Multiplied and divided by whole numbers: their quotient would be rounded to float32.
        """
        times = self._constant(node, there * there.size, f"{what}/times")
        count = self._constant(node, there.sum(keepdims=True), f"{what}/count")
        many = self._node(node, "Mul", f"{what}/many", [value, times])
        return [many, self._node(node, "Div", what, [many.output[0], count])]

    def _lined_up(
        self, node: onnx.NodeProto, name: str, rank: int, nodes: list[onnx.NodeProto]
    ) -> str:
        """A scale or shift that lies along axis 1, made to broadcast; layer norm's does so."""
        if node.op_type == "LayerNormalization":
            return name
        axes = numpy_helper.from_array(np.arange(1, rank - 1), f"{node.name}/{name}/axes")
        self._graph.initializer.append(axes)
        nodes.append(self._node(node, "Unsqueeze", f"{name} along", [name, axes.name]))
        return str(nodes[-1].output[0])

    def _mean(self, node: onnx.NodeProto, what: str, value: str, first: int) -> onnx.NodeProto:
        axes = list(range(first, len(self._shapes[node.input[0]])))
        if not self._axes_as_input:
            return helper.make_node(
                "ReduceMean", [value], [f"{node.name}/{what}"], axes=axes, keepdims=1
            )
        tensor = numpy_helper.from_array(np.array(axes), f"{node.name}/{what}/axes")
        self._graph.initializer.append(tensor)
        return self._node(node, "ReduceMean", what, [value, tensor.name])

    def _there(self, data: str, statistics: Sequence[Statistic]) -> np.ndarray:
        """1 where a channel stays, 0 where it goes; broadcasts against the data."""
        shape = self._shapes[data]
        there = np.ones((1,) * len(shape))
        for statistic in statistics:
            along = np.zeros(sum(span.size for span in statistic.spans))
            along[self._indices.of(statistic.spans)] = 1.0
            sizes = [1] * len(shape)
            sizes[statistic.axis] = -1
            there = there * along.reshape(sizes)
        return there

    def _constant(self, node: onnx.NodeProto, array: np.ndarray, what: str = "there") -> str:
        tensor = numpy_helper.from_array(array.astype(np.float32), f"{node.name}/{what}")
        self._graph.initializer.append(tensor)
        return str(tensor.name)

    def _node(
        self, owner: onnx.NodeProto, op_type: str, what: str, inputs: list[str]
    ) -> onnx.NodeProto:
        name = f"{owner.name}/{what}"
        return helper.make_node(op_type, inputs, [name], name=name)
