"""One graph on its way to half precision: which tensor is where in which type."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from hwprune_device.precision.half_numbers import fold_norm, half_tensor
from hwprune_device.precision.half_rules import (
    FOLLOWERS,
    HALF,
    Kind,
    exact_in_half,
    is_standard,
    stays_float,
    takes_half,
)
from hwprune_device.precision.tensors import (
    Names,
    bodies,
    constant_value,
    constants,
    element_types,
    read,
)

FLOAT = TensorProto.FLOAT
_BLIND = ("Shape", "Size")
"""Operators that do not look at the numbers they read."""


class Conversion:
    """What all graphs of one model share."""

    def __init__(self, kind: Kind, opset: int, taken: Names) -> None:
        self.half = HALF[kind]
        self.opset = opset
        self.names = taken
        self.clamped = 0
        self.changed = False
        self._suffix = kind

    def half_name(self, name: str) -> str:
        """What the half of a float32 tensor is called."""
        return self.names.fresh(f"{name}_{self._suffix}")

    def tensor(self, values: np.ndarray, name: str) -> TensorProto:
        """Numbers in half precision."""
        made, beyond = half_tensor(values, name, self.half)
        self.clamped += beyond
        return made


class Scope:
    """A graph, or the body of a control-flow operator, on its way to half precision.

    A name that was float32 stays the name of the float32 tensor; its half has another name. So
    whatever a body, or an output of the graph, reads by its old name finds what it expects.
    """

    def __init__(
        self, graph: GraphProto, conversion: Conversion, outer: Mapping[str, int]
    ) -> None:
        self._graph = graph
        self._conversion = conversion
        # A body may read names of the graph around it.
        self._types = {**outer, **element_types(graph)}
        self._constants = constants(graph)
        self._nodes: list[NodeProto] = []
        # What the graph around has is float32 by its old name: `_bodies` sees to that.
        self._floats = {name for name, kind in outer.items() if kind == FLOAT}
        self._floats |= {entry.name for entry in (*graph.input, *graph.initializer)}
        self._floats |= {entry.values.name for entry in graph.sparse_initializer}
        """Float32 tensors that are there."""
        self._halves: dict[str, str] = {}
        """By float32 tensor: its half, where that is there."""
        self._sources: dict[str, str] = {}
        """By float32 tensor: the tensor of another type that it is a Cast of, if it is exact."""
        self._kept: set[str] = set()
        """What operators made that stay in float32."""

    def convert(self) -> None:
        """Rewrite the graph in place."""
        for node in list(self._graph.node):
            self._check(node)
            if is_standard(node) and node.op_type == "Constant":
                self._nodes.append(node)
                self._floats.update(node.output)
            elif is_standard(node) and node.op_type == "Cast":
                self._cast(node)
            else:
                self._compute(node)
        # Outputs stay float32, so that whoever runs the network sees no difference.
        for entry in self._graph.output:
            if self._types.get(entry.name) == FLOAT:
                self._float(entry.name)
        self._finish()

    def _check(self, node: NodeProto) -> None:
        unknown = [name for name in node.output if name and name not in self._types]
        if unknown:
            raise ValueError(
                f"node '{node.name}' ({node.op_type}) makes '{unknown[0]}', whose type is not "
                "known; give it a value_info, or leave the network in fp32"
            )

    def _cast(self, node: NodeProto) -> None:
        """Add a Cast of the model's own; one to float32 waits until somebody reads it."""
        name, made = node.input[0], node.output[0]
        source, target, half = self._types[name], self._types[made], self._conversion.half
        if target != FLOAT:
            new = _copy(node)
            # To half, the half that is there is read, not the float32 that it came from.
            there = name in self._floats and not (target == half and name in self._halves)
            if source == FLOAT and not there:
                new.input[0] = self._half(name)
            self._nodes.append(new)
        elif source == half:
            self._halves[made] = name
        elif source == FLOAT and name in self._halves:
            self._halves[made] = self._halves[name]
        elif source != FLOAT and exact_in_half(source):
            self._sources[made] = name
        else:
            self._nodes.append(node)
            self._floats.add(made)
            self._kept.add(made)

    def _compute(self, node: NodeProto) -> None:
        """Add an operator, in half precision as far as it may be."""
        new = _copy(node)
        self._bodies(new)
        kept = stays_float(node) or self._follows(node) or self._beside_tensors(node)
        reads, makes = [False] * len(node.input), [False] * len(node.output)
        if not kept:
            reads, makes = takes_half(node, self._conversion.opset, self._conversion.half)
            self._prepare(new)
        for at, name in enumerate(new.input):
            # Shape and Size read whichever is there: a cast would be made for nothing.
            if self._types.get(name) != FLOAT or (node.op_type in _BLIND and name in self._floats):
                continue
            new.input[at] = self._half(name) if reads[at] else self._float(name)
            self._conversion.changed |= reads[at]
        self._nodes.append(new)
        for at, name in enumerate(node.output):
            if self._types.get(name) != FLOAT:
                continue
            if makes[at]:
                new.output[at] = self._halves[name] = self._conversion.half_name(name)
                self._conversion.changed = True
            else:
                self._floats.add(name)
                if kept:
                    self._kept.add(name)

    def _follows(self, node: NodeProto) -> bool:
        """Whether an operator only goes on with what was kept in float32."""
        if node.op_type not in FOLLOWERS:
            return False
        reads = {n for n in node.input if self._types.get(n) == FLOAT and n not in self._constants}
        return bool(reads) and reads <= self._kept

    def _beside_tensors(self, node: NodeProto) -> bool:
        """Whether an operator deals with a sequence or an optional value."""
        return any(self._types.get(name, 0) < 0 for name in (*node.input, *node.output))

    def _bodies(self, node: NodeProto) -> None:
        """Convert the bodies of an operator; what they read from here has to be float32."""
        for body in bodies(node):
            Scope(body, self._conversion, self._types).convert()
            for name in sorted(read(body.node, body)):
                if self._types.get(name) == FLOAT:
                    self._float(name)

    def _prepare(self, node: NodeProto) -> None:
        """Change the numbers that belong to an operator itself."""
        # With more outputs it trains, and its statistics are what they are.
        if node.op_type == "BatchNormalization" and len(node.output) == 1:
            self._fold(node)
        if node.op_type == "ConstantOfShape" and self._types[node.output[0]] == FLOAT:
            value = constant_value(node)
            filled = np.zeros(1, np.float32) if value is None else value
            _set_attribute(node, "value", self._conversion.tensor(filled, ""))

    def _fold(self, node: NodeProto) -> None:
        parts = [self._constants.get(name) for name in node.input[1:5]]
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return
        for at, part in enumerate(fold_norm(known, epsilon), 1):
            name = self._conversion.names.fresh(f"{node.input[at]}_folded")
            self._constants[name], self._types[name] = part, FLOAT
            self._graph.initializer.append(numpy_helper.from_array(part, name))
            self._floats.add(name)
            node.input[at] = name
        # It is inside the variance that was folded.
        _set_attribute(node, "epsilon", 0.0)

    def _float(self, name: str) -> str:
        """The float32 tensor of this name, made where it is not there yet."""
        if name not in self._floats:
            source = self._sources.get(name) or self._halves[name]
            self._nodes.append(_new_cast(source, name, FLOAT))
            self._floats.add(name)
        return name

    def _half(self, name: str) -> str:
        """The half of a float32 tensor, made where it is not there yet."""
        if name in self._halves:
            return self._halves[name]
        made = self._halves[name] = self._conversion.half_name(name)
        if name in self._constants:
            self._graph.initializer.append(self._conversion.tensor(self._constants[name], made))
        else:
            source = self._sources.get(name, name)
            self._nodes.append(_new_cast(source, made, self._conversion.half))
        return made

    def _finish(self) -> None:
        """Put the new nodes in, without what nobody reads any more."""
        graph = self._graph
        used = read(self._nodes, graph)
        dead = {name for name in self._constants if name not in used}
        nodes = [n for n in self._nodes if not (n.op_type == "Constant" and n.output[0] in dead)]
        weights = [w for w in graph.initializer if w.name not in dead]
        there = {name for n in nodes for name in n.output}
        infos = [info for info in graph.value_info if info.name in there]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(weights)
        graph.value_info.extend(infos)


def _copy(node: NodeProto) -> NodeProto:
    new = NodeProto()
    new.CopyFrom(node)
    return new


def _new_cast(name: str, made: str, to: int) -> NodeProto:
    return helper.make_node("Cast", [name], [made], name=f"{made}_cast", to=to)


def _set_attribute(node: NodeProto, name: str, value: TensorProto | float) -> None:
    others = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*others, helper.make_attribute(name, value)])
