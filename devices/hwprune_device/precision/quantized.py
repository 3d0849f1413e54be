"""int8 as a graph says it: QuantizeLinear and DequantizeLinear where TensorRT fuses them.

TensorRT calls this explicit quantisation, and from version 11 on there is no other. Placed after
the recommendations of its documentation ("Q/DQ layer-placement"): inputs and weights of Conv, Gemm
and MatMul, the shortcut of a residual Add, and no results; BatchNormalization and ReLU stay as
they are between a Conv and the next pair, for TensorRT fuses them into it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from hwprune_device.precision.opset import opset
from hwprune_device.precision.quantized_places import Places, find_places
from hwprune_device.precision.tensors import Names, bodies, names

PLAUSIBLE = 6.0
"""The range of a ReLU6. Which one does not change a latency."""
LEAST_OPSET = 13
"""Before it a scale for each channel cannot be said."""
_LARGEST = 127
"""int8 without -128, so that it is symmetric."""
_LEAST_SCALE = 2.0**-24
"""The smallest fp16 above 0: a graph with Q/DQ may be converted to half precision afterwards."""


def is_quantized(model: ModelProto) -> bool:
    """Whether a network says by itself what is computed in int8."""

    def within(graph: GraphProto) -> bool:
        """Whether a graph does, or one that a node of it holds."""
        return any(
            "QuantizeLinear" in node.op_type
            or "DequantizeLinear" in node.op_type
            or node.op_type.startswith("QLinear")
            or any(within(body) for body in bodies(node))
            for node in graph.node
        )

    return within(model.graph)


def quantized_tensors(model: ModelProto) -> tuple[str, ...]:
    """The activations that `with_qdq` quantises, in the graph's order."""
    return tuple(find_places(model.graph).activations)


def with_qdq(model: ModelProto, ranges: Mapping[str, float] | None = None) -> ModelProto:
    """The network with int8 at the inputs and weights of its Conv, Gemm and MatMul.

    Symmetric: one scale for an activation, one for each output channel of weights that are
    constant. A tensor that several operators read is quantised once. A network that is quantised
    already is given back as it is.

    Args:
        model: a network in float32.
        ranges: the largest absolute value of each activation, from `runtimes.ranges`. Without them
            all get the same plausible one: right for a latency, which does not depend on scales,
            and wrong for outputs, whose accuracy then says nothing.

    Raises:
        ValueError: nothing can be quantised; a range is missing or no number; opset below 13.
    """
    made = ModelProto()
    made.CopyFrom(model)
    if is_quantized(model):
        return made
    if opset(model) < LEAST_OPSET:
        raise ValueError(
            f"int8 by channel needs opset {LEAST_OPSET}; given: opset {opset(model)}; export the "
            "network again"
        )
    places = find_places(made.graph)
    if not places.activations:
        raise ValueError(
            "nothing to quantise: the network has no Conv, Gemm or MatMul with constant float32 "
            "weights"
        )
    _Insertion(made.graph, places, _scales(places, ranges)).insert()
    return made


def _scales(places: Places, ranges: Mapping[str, float] | None) -> dict[str, float]:
    """The scale of each activation."""
    if ranges is None:
        return dict.fromkeys(places.activations, PLAUSIBLE / _LARGEST)
    missing = [name for name in places.activations if name not in ranges]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(places.activations)} activations have no range, such as "
            f"'{missing[0]}'; observe_ranges gives all of them"
        )
    wrong = [n for n in places.activations if not (math.isfinite(ranges[n]) and ranges[n] >= 0)]
    if wrong:
        raise ValueError(f"the range of '{wrong[0]}' is {ranges[wrong[0]]}; possible: 0 or more")
    return {name: max(ranges[name] / _LARGEST, _LEAST_SCALE) for name in places.activations}


class _Insertion:
    """Puts the pairs of one graph in, each before the first operator that reads it."""

    def __init__(self, graph: GraphProto, places: Places, scales: Mapping[str, float]) -> None:
        self._graph = graph
        self._places = places
        self._scales = scales
        self._names = Names(names(graph))
        self._pairs: dict[tuple[str, int | None], str] = {}
        """By tensor and axis: what it is called after its pair."""
        self._nodes: list[NodeProto] = []

    def insert(self) -> None:
        """Rewrite the graph in place."""
        for at, node in enumerate(self._graph.node):
            for entry in self._places.of(at):
                if entry.weights is None:
                    scale = np.array(self._scales[entry.tensor], np.float32)
                else:
                    scale = _weight_scale(entry.weights, entry.axis)
                node.input[entry.input] = self._pair(entry.tensor, entry.axis, scale)
            self._nodes.append(node)
        nodes = self._nodes
        del self._graph.node[:]
        self._graph.node.extend(nodes)

    def _pair(self, tensor: str, axis: int | None, scale: np.ndarray) -> str:
        """The tensor's name after its pair, which is added where it is not there yet."""
        key = (tensor, axis)
        if key in self._pairs:
            return self._pairs[key]
        # Its type is what says int8 in ONNX; symmetric, so it is 0.
        zero = np.zeros(scale.shape, np.int8)
        fixed = [self._constant(f"{tensor}_scale", scale), self._constant(f"{tensor}_zero", zero)]
        quantized = self._names.fresh(f"{tensor}_int8")
        made = self._pairs[key] = self._names.fresh(f"{tensor}_dequantized")
        for kind, source, target in (
            ("QuantizeLinear", tensor, quantized),
            ("DequantizeLinear", quantized, made),
        ):
            node = helper.make_node(kind, [source, *fixed], [target], name=f"{target}_{kind}")
            if axis is not None:
                node.attribute.append(helper.make_attribute("axis", axis))
            self._nodes.append(node)
        return made

    def _constant(self, name: str, values: np.ndarray) -> str:
        own = self._names.fresh(name)
        self._graph.initializer.append(numpy_helper.from_array(values, own))
        return own


def _weight_scale(weights: np.ndarray, axis: int | None) -> np.ndarray:
    """One scale for each index of `axis`, or one for all."""
    others = tuple(at for at in range(weights.ndim) if at != axis)
    largest = np.abs(weights).max(axis=others if axis is not None else None)
    return np.maximum(largest / _LARGEST, _LEAST_SCALE).astype(np.float32)
