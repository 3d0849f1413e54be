"""Cuts a base network to a candidate: its graph, with sliced initializers and patched literals.

The base is parsed once. What no cut changes is kept as serialised pieces, so that a candidate
costs the slicing of its weights and one join of bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from hwprune_device.branches import Branches, Recent, gone_at
from hwprune_device.plan import STAYS, CutPlan, LiteralCut, Span
from hwprune_device.wire import (
    GRAPH_INITIALIZER,
    GRAPH_NODE,
    MODEL_GRAPH,
    Piece,
    field,
    initializer_field,
    raw_bytes,
    tensor_head,
    varint,
)

Spans = tuple[Span, ...]


class KeptIndices:
    """Kept indices by spans for one cut; axes that share their spans share the work."""

    def __init__(self, keep: Sequence[np.ndarray]) -> None:
        self._keep = keep
        self._known: dict[Spans, np.ndarray] = {}

    def of(self, spans: Spans) -> np.ndarray:
        """Indices that stay on an axis covered by `spans`, in their order."""
        if spans not in self._known:
            self._known[spans] = np.concatenate(list(self._pieces(spans)))
        return self._known[spans]

    def _pieces(self, spans: Spans) -> Iterator[np.ndarray]:
        start = 0
        for span in spans:
            if span.group == STAYS:
                yield np.arange(start, start + span.size)
            else:
                kept = self._keep[span.group]
                # Units of the group that this span covers -> indices on the axis.
                inside = kept[(kept >= span.start) & (kept < span.start + span.count)] - span.start
                repeats = np.arange(span.repeat)
                yield start + (inside[:, None] * span.repeat + repeats).reshape(-1)
            start += span.size


class Cutter:
    """Makes candidates of one base network. One cutter serves one thread at a time.

    Args:
        base: the ONNX model the plan was made of, weights inside.
        plan: which axes and literals follow which channel group.
    """

    def __init__(self, base: bytes, plan: CutPlan) -> None:
        model = onnx.load_model_from_string(base)
        self.plan = plan
        self._axes = _axes_by_initializer(plan)
        self._int_literals = _literals_by(plan, "initializer")
        self._node_literals = _literals_by(plan, "node")
        graph = model.graph
        self._cut_nodes = [n for n in graph.node if n.name in self._node_literals]
        self._arrays: dict[str, np.ndarray] = {}
        self._heads: dict[str, bytes] = {}
        for tensor in graph.initializer:
            if tensor.name in self._axes or tensor.name in self._int_literals:
                self._arrays[tensor.name] = numpy_helper.to_array(tensor)
                self._heads[tensor.name] = tensor_head(tensor.name, tensor.data_type)
        self._nodes = [_node_piece(n, self._node_literals) for n in graph.node]
        self._rest = _rest_of_graph(graph, self._arrays)
        # Everything else of the model (opset, metadata): written before every candidate's graph.
        model.ClearField("graph")
        self._header = model.SerializeToString()
        self._others = Recent[Cutter]()

    def cut_to(self, widths: Sequence[int]) -> bytes:
        """The candidate that keeps the first `widths[g]` units of each group g.

        Raises:
            ValueError: the number of widths, or one of them, does not fit the plan.
        """
        return self.cut([np.arange(width) for width in widths])

    def cut(self, keep: Sequence[np.ndarray]) -> bytes:
        """The candidate that keeps the given units (ascending, unique) of each group.

        Raises:
            ValueError: units are missing, repeated, out of order or not in the group, or none of a
                group are given that cannot go as a whole (`Branches`).
        """
        kept = checked_keep(keep, self.plan)
        gone = gone_at([len(units) for units in kept])
        if not gone:
            return self._cut(kept)
        return self._others.get(gone, lambda: self._without(gone))._cut(kept)

    def _without(self, gone: tuple[int, ...]) -> Cutter:
        """The cutter of the network without these groups."""
        whole = self._cut([np.arange(width) for width in self.plan.widths])
        model, plan = Branches(onnx.load_model_from_string(whole), self.plan).without(gone)
        return Cutter(model.SerializeToString(), plan)

    def _cut(self, kept: Sequence[np.ndarray]) -> bytes:
        indices = KeptIndices(kept)
        pieces: list[Piece] = [*self._node_pieces(indices), self._rest]
        for name, array in self._arrays.items():
            cut = self._cut_array(name, array, indices)
            pieces += initializer_field(self._heads[name], cut.shape, raw_bytes(cut))
        # Protobuf wants the length of the graph before the graph.
        size = sum(map(len, pieces))
        return b"".join([self._header, MODEL_GRAPH, varint(size), *pieces])

    def _cut_array(self, name: str, array: np.ndarray, indices: KeptIndices) -> np.ndarray:
        for axis, spans in self._axes.get(name, ()):
            index = indices.of(spans)
            if len(index) != array.shape[axis]:
                # Places are checked before; "clip" spares numpy a copy to check them again.
                array = array.take(index, axis=axis, mode="clip")
        literals = self._int_literals.get(name)
        if literals:
            # The base's own array serves the next candidate.
            array = array.copy()
            for literal in literals:
                array[literal.index if literal.index is not None else ...] = _value(
                    literal, indices
                )
        return array

    def _node_pieces(self, indices: KeptIndices) -> Iterator[bytes]:
        """Serialised nodes in order; those with a literal are patched on the way."""
        cut_nodes = iter(self._cut_nodes)
        for piece in self._nodes:
            if piece is not None:
                yield piece
                continue
            node = next(cut_nodes)
            for literal in self._node_literals[node.name]:
                attribute = next(a for a in node.attribute if a.name == literal.attribute)
                if literal.index is None:
                    attribute.i = _value(literal, indices)
                else:
                    attribute.ints[literal.index] = _value(literal, indices)
            yield field(GRAPH_NODE, node.SerializeToString())


def _value(literal: LiteralCut, indices: KeptIndices) -> int:
    return literal.sign * (len(indices.of(literal.spans)) // literal.divisor)


def checked_keep(keep: Sequence[np.ndarray], plan: CutPlan) -> list[np.ndarray]:
    """The kept units as arrays, or a ValueError that says which group does not fit."""
    if len(keep) != len(plan.groups):
        raise ValueError(f"{len(keep)} groups were given, the plan has {len(plan.groups)}")
    kept = []
    for units, group in zip(keep, plan.groups, strict=True):
        array = np.asarray(units)
        fits = array.ndim == 1 and array.size <= group.width
        beyond = fits and array.size and (array[0] < 0 or array[-1] >= group.width)
        if not fits or beyond or (np.diff(array) <= 0).any():
            raise ValueError(
                f"group '{group.name}' keeps some of its units 0…{group.width - 1}, "
                f"ascending; given were {array.size} units: {array[:8].tolist()}…"
            )
        kept.append(array)
    return kept


def _axes_by_initializer(plan: CutPlan) -> dict[str, list[tuple[int, Spans]]]:
    table: dict[str, list[tuple[int, Spans]]] = {}
    for axis_cut in plan.axes:
        table.setdefault(axis_cut.initializer, []).append((axis_cut.axis, axis_cut.spans))
    return table


def _literals_by(plan: CutPlan, kind: str) -> dict[str, list[LiteralCut]]:
    table: dict[str, list[LiteralCut]] = {}
    for literal in plan.literals:
        if getattr(literal, kind):
            table.setdefault(getattr(literal, kind), []).append(literal)
    return table


def _node_piece(node: onnx.NodeProto, literals: dict[str, list[LiteralCut]]) -> bytes | None:
    """A node as the graph field it is, or None for a node that each cut patches."""
    return None if node.name in literals else field(GRAPH_NODE, node.SerializeToString())


def _rest_of_graph(graph: onnx.GraphProto, arrays: dict[str, np.ndarray]) -> bytes:
    """Name, inputs, outputs and the initializers that no cut touches, serialised."""
    whole = [
        field(GRAPH_INITIALIZER, tensor.SerializeToString())
        for tensor in graph.initializer
        if tensor.name not in arrays
    ]
    graph.ClearField("node")
    graph.ClearField("initializer")
    return b"".join([graph.SerializeToString(), *whole])
