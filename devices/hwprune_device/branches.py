"""Whole branches that go: groups cut to no unit at all, the shapes around them kept.

Where all that reads a group gives the same at every place once the group is gone (a bias), and
what follows only works on elements until it is added to or multiplied with another value of full
size, the branch is that one value for each channel. So depth is searched as a width of 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwprune_device.plan import AxisCut, CutPlan, Span
from hwprune_device.subgraphs import reads, rename_reads
from hwprune_device.values import Shape, value_shapes

ELEMENTWISE = frozenset(
    {"Relu", "Sigmoid", "Tanh", "LeakyRelu", "PRelu", "Clip", "Elu", "Celu", "Selu", "Softplus"}
    | {"Softsign", "HardSigmoid", "HardSwish", "Swish", "Mish", "Gelu", "Erf", "Exp", "Sqrt"}
    | {"Abs", "Neg", "Cast", "BatchNormalization", "Identity", "Dropout", "GlobalAveragePool"}
)
JOINS = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Pow"})
_BATCH = 7
"""Told apart from a value that is the same for every item of a batch."""
_RECENT = 4
"""Networks without some groups that are remembered: each has weights of its own."""
Made = TypeVar("Made")


def gone_at(widths: Sequence[int]) -> tuple[int, ...]:
    """Numbers of the groups that go as a whole."""
    return tuple(group for group, width in enumerate(widths) if not width)


class Recent(Generic[Made]):
    """What was made of a network without some groups, for the last few sets of groups."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, ...], Made] = {}

    def get(self, gone: tuple[int, ...], make: Callable[[], Made]) -> Made:
        """What was made for these groups, or is made now."""
        # Taken out and put in again, so that the first is the one that was not used longest.
        made = self._made.pop(gone) if gone in self._made else make()
        self._made[gone] = made
        while len(self._made) > _RECENT:
            del self._made[next(iter(self._made))]
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Removal:
    """What goes with some groups."""

    steps: tuple[onnx.NodeProto, ...]
    """Nodes that give one value a channel, readers of the groups first; in order."""
    readers: frozenset[str]
    """Names of those among them that read the groups."""
    borders: tuple[str, ...]
    """What they give to the rest of the graph."""
    kept: tuple[onnx.NodeProto, ...]
    """The nodes that stay."""


class Branches:
    """Which groups of a base network can go as a whole, and the network without them.

    Args:
        model: in canonical form.
        plan: its cut plan.
    """

    def __init__(self, model: onnx.ModelProto, plan: CutPlan) -> None:
        self._model, self._plan = model, plan
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._spans = {(cut.initializer, cut.axis): cut.spans for cut in plan.axes}
        self._shapes = value_shapes(model, _BATCH)
        self._readers = dict(self._layers_by_what_they_read())

    def removable(self) -> tuple[int, ...]:
        """Numbers of the groups of which no unit has to stay."""
        return tuple(
            group for group in range(len(self._plan.groups)) if self._removal({group}) is not None
        )

    def without(self, groups: Iterable[int]) -> tuple[onnx.ModelProto, CutPlan]:
        """The network and its plan without these groups; the others keep their numbers.

        Raises:
            ValueError: one of them has to keep a unit.
        """
        gone = set(groups)
        removal = self._removal(gone)
        if removal is None:
            asked = ", ".join(self._plan.groups[group].name for group in sorted(gone))
            raise ValueError(f"not every one of these groups can go as a whole: {asked}")
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        del model.graph.node[:]
        model.graph.node.extend(removal.kept)
        _drop_unused(model.graph)
        names = self._named(model.graph, removal)
        for node in model.graph.node:
            rename_reads(node, names)
        for tensor in self._folded(removal):
            tensor.name = names[tensor.name]
            model.graph.initializer.append(tensor)
        return model, self._plan_of(model, removal, names)

    def _removal(self, gone: set[int]) -> _Removal | None:
        found = {place for place, groups in self._readers.items() if groups <= gone}
        if not found:
            return None
        steps: list[onnx.NodeProto] = []
        readers, alike, first = set(), set[str](), min(found)
        # What comes before is not touched: networks of many groups are asked for each of them.
        for place, node in enumerate(self._model.graph.node[first:], first):
            if place in found:
                readers.add(node.name)
            elif alike.isdisjoint(reads(node)):
                continue
            # An operand that is neither constant nor of the branch: here the two join.
            elif not alike.issuperset(n for n in node.input if n and n not in self._tensors):
                if not self._joins(node, alike):
                    return None
                continue
            elif node.op_type not in ELEMENTWISE | JOINS:
                return None
            steps.append(node)
            alike.update(node.output)
        outputs = {value.name for value in self._model.graph.output}
        # A branch that ends as an output would be a constant in another shape.
        if alike & outputs:
            return None
        kept = _needed(self._model.graph, outputs, alike)
        taken = {name for node in kept for name in reads(node)}
        borders = tuple(name for node in steps for name in node.output if name in taken)
        removal = _Removal(
            steps=tuple(steps), readers=frozenset(readers), borders=borders, kept=tuple(kept)
        )
        return None if self._is_left(removal, gone) else removal

    def _layers_by_what_they_read(self) -> Iterator[tuple[int, set[int]]]:
        """By place of a layer's node the groups that it reads."""
        for place, node in enumerate(self._model.graph.node):
            axis = _read_axis(node, self._shapes)
            spans = self._spans.get((node.input[1], axis)) if axis is not None else None
            if spans is not None:
                yield place, {span.group for span in spans}

    def _joins(self, node: onnx.NodeProto, alike: set[str]) -> bool:
        """Whether another operand has the result's size: then one value a channel will do."""
        result = self._shapes.get(node.output[0])
        others = [self._shapes.get(name) for name in node.input if name not in alike]
        return node.op_type in JOINS and result is not None and result in others

    def _is_left(self, removal: _Removal, gone: set[int]) -> bool:
        """Whether something of the groups is still there, or a statistic was taken over them."""
        named = {name for node in removal.kept for name in (*node.input, node.name)}
        plan = self._plan
        parts: list[tuple[str, Sequence[Span]]] = [(c.initializer, c.spans) for c in plan.axes]
        parts += [
            (literal.initializer or literal.node, literal.spans) for literal in plan.literals
        ]
        left = [spans for name, spans in parts if name in named]
        left += [statistic.spans for statistic in plan.statistics]
        return any(span.group in gone for spans in left for span in spans)

    def _named(self, graph: onnx.GraphProto, removal: _Removal) -> dict[str, str]:
        """What is left of each branch is the bias of its last layer, and called so."""
        taken = {tensor.name for tensor in graph.initializer}
        names: dict[str, str] = {}
        path = ""
        for node in removal.steps:
            if node.name in removal.readers:
                path = node.input[1].rpartition(".")[0] or node.input[1]
            for value in node.output:
                if value in removal.borders:
                    name = f"{path}.bias"
                    while name in taken:
                        name += "_"
                    taken.add(name)
                    names[value] = name
        return names

    def _folded(self, removal: _Removal) -> list[onnx.TensorProto]:
        """What goes into the rest of the graph, one value a channel, named as before."""
        begun = [self._bias(node) for node in removal.steps if node.name in removal.readers]
        steps = [node for node in removal.steps if node.name not in removal.readers]
        known = {tensor.name: tensor for tensor in begun}
        inner = [name for name in removal.borders if name not in known]
        if inner:
            held = {name for node in steps for name in node.input} & set(self._tensors)
            graph = helper.make_graph(
                steps,
                "branch",
                [],
                [helper.make_empty_tensor_value_info(name) for name in inner],
                [*begun, *(self._tensors[name] for name in held)],
            )
            model = helper.make_model(graph, opset_imports=self._model.opset_import)
            arrays = ReferenceEvaluator(model).run(None, {})
            for name, array in zip(inner, arrays, strict=True):
                known[name] = numpy_helper.from_array(np.asarray(array), name)
        return [known[name] for name in removal.borders]

    def _bias(self, node: onnx.NodeProto) -> onnx.TensorProto:
        """What a layer gives where it reads nothing: 1 M 1 1, or 1 1 M."""
        weight = numpy_helper.to_array(self._tensors[node.input[1]])
        axis = _written_axis(node)
        rank = weight.ndim if "Conv" in node.op_type else len(self._shapes[node.output[0]])
        place = 1 if "Conv" in node.op_type else rank - 1
        sizes = [1] * rank
        sizes[place] = weight.shape[axis]
        bias = node.input[2] if len(node.input) > 2 and node.input[2] else ""
        array = np.zeros(sizes, weight.dtype)
        if bias:
            array = array + numpy_helper.to_array(self._tensors[bias]).reshape(sizes)
        return numpy_helper.from_array(array.astype(weight.dtype), node.output[0])

    def _plan_of(
        self, model: onnx.ModelProto, removal: _Removal, named: Mapping[str, str]
    ) -> CutPlan:
        """The plan of what is left, and of the values that were put in."""
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        nodes = {node.name for node in model.graph.node}
        new = set(named.values())
        axes = [c for c in self._plan.axes if c.initializer in tensors.keys() - new]
        spans: dict[str, tuple[Span, ...]] = {}
        for node in removal.steps:
            if node.name in removal.readers:
                found = self._spans.get((node.input[1], _written_axis(node)), ())
            else:
                found = next((spans[n] for n in node.input if spans.get(n)), ())
            spans[node.output[0]] = found
        for value, name in named.items():
            if spans[value]:
                # 1 M 1 1 or 1 1 M: the only axis that is not 1.
                wide = int(np.argmax(tensors[name].dims))
                axes.append(AxisCut(initializer=name, axis=wide, spans=spans[value]))
        return replace(
            self._plan,
            axes=tuple(axes),
            literals=tuple(
                one
                for one in self._plan.literals
                if one.initializer in tensors or one.node in nodes
            ),
            statistics=tuple(one for one in self._plan.statistics if one.node in nodes),
        )


def _read_axis(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int | None:
    """The axis of a layer's weight along which it reads; None for what is no such layer."""
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type in ("Conv", "ConvTranspose") and values.get("group", 1) == 1:
        return 1 if node.op_type == "Conv" else 0
    if node.op_type == "Gemm" and not values.get("transA", 0) and values.get("beta", 1.0) == 1:
        return 1 if values.get("transB", 0) else 0
    if node.op_type == "MatMul" and len(shapes.get(node.input[1], ())) == 2:
        return 0
    return None


def _written_axis(node: onnx.NodeProto) -> int:
    """The axis of the same weight along which the layer writes."""
    if node.op_type in ("Conv", "ConvTranspose"):
        return 0 if node.op_type == "Conv" else 1
    turned = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if turned else 1


def _needed(graph: onnx.GraphProto, outputs: set[str], given: set[str]) -> list[onnx.NodeProto]:
    """Nodes that the outputs need where some values are given."""
    needed, kept = set(outputs), []
    for node in reversed(graph.node):
        if needed.intersection(node.output) and given.isdisjoint(node.output):
            kept.append(node)
            needed.update(reads(node))
    return kept[::-1]


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in reads(node)}
    used.update(value.name for value in graph.output)
    for position in reversed(range(len(graph.initializer))):
        if graph.initializer[position].name not in used:
            del graph.initializer[position]
