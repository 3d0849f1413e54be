"""The walk over a graph: which axis of which value carries which channels.

Rules (hwprune/channels/rules) move labels from a node's inputs to its outputs through this class.
An axis without labels is rigid: batch, height, width, anything that is never cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from hwprune.channels.atoms import Atoms, Labels
from hwprune_device.subgraphs import reads
from hwprune_device.values import QUANTIZES, Shape, is_weight, quantized, value_shapes

AxisLabels = tuple[Labels | None, ...]
_KEEPS_ZEROS = {
    *("Cast", "Concat", "Expand", "Identity", "Mul", "Reshape", "Slice", "Squeeze", "Transpose"),
    *("Unsqueeze", *QUANTIZES),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A number of the graph that counts the atoms of `labels`; see LiteralCut."""

    labels: Labels
    initializer: str = ""
    node: str = ""
    attribute: str = ""
    index: int | None = None
    divisor: int = 1
    sign: int = 1


class Walk:
    """State of one analysis: labels by value, weight axes asked for, literals that follow."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.atoms = Atoms()
        self.shapes: dict[str, Shape] = value_shapes(model)
        integers = quantized(model.graph)
        self.weights = {
            t.name: t for t in model.graph.initializer if is_weight(t) or t.name in integers
        }
        self.constants = {
            t.name: numpy_helper.to_array(t)
            for t in model.graph.initializer
            if t.name not in self.weights
        }
        self.static: set[str] = set(self.weights)
        """Values that are made of weights alone: the same for every input."""
        self.computed: set[str] = set()
        """Those of them that are no zeros where the weights are."""
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in reads(node):
                self.consumers.setdefault(name, []).append(node)
        self.labels: dict[str, AxisLabels] = {}
        self.asked: set[str] = set()
        """Values whose labels a rule looked at."""
        self.weight_axes: dict[tuple[str, int], Labels] = {}
        self.literals: list[Literal] = []
        self.statistics: list[tuple[str, int, Labels]] = []
        """Node, axis of its first input, and channels that it takes a statistic over."""
        self.lists: dict[str, tuple[str, ...]] = {}
        """By list of sizes, the values it is put together from."""
        self.filled: dict[str, AxisLabels] = {}
        """By list of sizes, the axes of what is filled to them."""
        self.marks: list[Labels] = []
        """Pieces of axes that a group must not straddle."""
        self.writers: list[tuple[str, Labels]] = []
        self.readers: list[tuple[str, Labels]] = []
        self.left: list[tuple[str, str]] = []
        """Layers that no rule has seen, and why."""

    def rank(self, value: str) -> int:
        """Number of axes of a value; 0 when unknown."""
        return len(self.shapes.get(value, ()))

    def size(self, value: str, axis: int) -> int | None:
        """Size of an axis, None where it is not known as a number."""
        shape = self.shapes.get(value, ())
        size = shape[axis] if -len(shape) <= axis < len(shape) else None
        return size if isinstance(size, int) else None

    def axis(self, value: str, axis: int) -> Labels | None:
        """Labels of an axis; a weight's axis gets its atoms the first time a rule asks for it."""
        axis = axis % max(1, self.rank(value))
        self.asked.add(value)
        # Only when asked for: an axis that no rule reads has no atoms, and is never cut.
        if value in self.weights:
            key = (value, axis)
            if key not in self.weight_axes:
                self.weight_axes[key] = self.atoms.new(self.size(value, axis) or 0)
            return self.weight_axes[key]
        known = self.labels.get(value, ())
        return known[axis] if axis < len(known) else None

    def axes(self, value: str) -> AxisLabels:
        """Labels of all axes of a value; all axes of a weight get atoms, unless of size 1."""
        self.asked.add(value)
        if value in self.weights:
            # Along an axis of size 1 a weight is the same for all channels.
            wide = (self.size(value, axis) != 1 for axis in range(self.rank(value)))
            return tuple(
                self.axis(value, k) if is_wide else None for k, is_wide in enumerate(wide)
            )
        return self.labels.get(value) or (None,) * self.rank(value)

    def note_static(self, node: onnx.NodeProto) -> None:
        """Remember outputs that no input of the network has a part in."""
        known = (name in self.static or name in self.constants for name in node.input if name)
        # Of constants alone (shapes) it is no weight.
        if all(known) and any(name in self.static for name in node.input):
            self.static.update(node.output)
            if node.op_type not in _KEEPS_ZEROS or not self.computed.isdisjoint(node.input):
                self.computed.update(node.output)

    def give(self, value: str, labels: Sequence[Labels | None]) -> None:
        """Set the labels of a node's output."""
        self.labels[value] = tuple(labels)

    def tie(self, first: Labels | None, second: Labels | None, reason: str) -> None:
        """Tie two axes index by index; where only one has labels, or sizes differ, it freezes."""
        if first is not None and second is not None and len(first) == len(second):
            self.atoms.tie(first, second)
            return
        for labels in (first, second):
            self.freeze(labels, reason)

    def freeze(self, labels: Labels | None, reason: str) -> None:
        """Never cut these."""
        if labels is not None:
            self.atoms.freeze(labels, reason)

    def freeze_all(self, values: Sequence[str], reason: str) -> None:
        """Never cut any axis of these values."""
        for value in values:
            axes = range(self.rank(value)) if value in self.weights else range(0)
            for axis in axes:
                self.freeze(self.axis(value, axis), reason)
            for labels in self.labels.get(value, ()):
                self.freeze(labels, reason)

    def note_statistics(self, node: onnx.NodeProto, axes: Iterable[int]) -> None:
        """What the node computes over these axes of its first input, removed channels are not in.

        A mean, a maximum; or a product with a kernel that is computed from weights, whose numbers
        for a silenced channel are not zero.
        """
        labels = self.axes(node.input[0])
        for axis in axes:
            found = labels[axis]
            if found is not None:
                self.statistics.append((node.name, axis, found))

    def constant(self, node: onnx.NodeProto, position: int) -> np.ndarray | None:
        """An integer input as an array; None where it is absent or computed."""
        name = node.input[position] if position < len(node.input) else ""
        return self.constants.get(name)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """A node's attribute, or the default ONNX gives it."""
    for item in node.attribute:
        if item.name == name:
            value = onnx.helper.get_attribute_value(item)
            return value.decode() if isinstance(value, bytes) else value
    return default
