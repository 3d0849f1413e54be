"""Rows picked and written one by one, as slices and joins that the analysis can follow."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import onnx
from onnx import helper


class Graph(Protocol):
    """A graph that is being rewritten, as far as rows are concerned; see `Rewriter`."""

    values: dict[str, np.ndarray]
    producers: dict[str, onnx.NodeProto]
    renamed: dict[str, str]
    outputs: set[str]

    def array(self, node: onnx.NodeProto, position: int) -> np.ndarray | None:
        """A node's input where it is a constant."""

    def constant(self, name: str, values: list[int] | np.ndarray) -> str:
        """A constant, new or with a new value; its name."""

    def known(self, name: str) -> list[int] | None:
        """A value's shape; None where an axis is not known."""


def gathered_rows(graph: Graph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """GatherND of whole rows becomes Gather."""
    indices = graph.array(node, 1)
    batch = next((a.i for a in node.attribute if a.name == "batch_dims"), 0)
    if indices is not None and indices.shape[-1] == 1 and batch == 0:
        name = graph.constant(f"{node.name}/in1", indices[..., 0].astype(np.int64))
        gather = helper.make_node(
            "Gather", [node.input[0], name], node.output, name=node.name, axis=0
        )
        return [gather]
    return [node]


def scattered_rows(graph: Graph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """ScatterND of neighbouring rows becomes Concat of what is before, the rows, and after.

    Of all rows, as a batch is written whose channels are changed in place, it is the updates.
    """
    if _is_all_rows(graph, node) and node.output[0] not in graph.outputs:
        graph.renamed[node.output[0]] = node.input[2]
        return []
    rows, shape = graph.array(node, 1), graph.known(node.input[0])
    mode = next((a.s for a in node.attribute if a.name == "reduction"), b"none")
    if rows is None or shape is None or mode != b"none" or rows.ndim != 2:
        return [node]
    places = rows.reshape(-1)
    # Places with a gap, or out of order, are no slice.
    if rows.shape[1] != 1 or not len(places) or (np.diff(places) != 1).any():
        return [node]
    data, _, updates = node.input
    first, last = int(places[0]), int(places[-1]) + 1
    nodes: list[onnx.NodeProto] = []
    parts = [updates]
    if first > 0:
        parts.insert(0, _slice(graph, node.name, "before", data, [0, first], nodes))
    if last < shape[0]:
        parts.append(_slice(graph, node.name, "after", data, [last, shape[0]], nodes))
    nodes.append(helper.make_node("Concat", parts, node.output, name=node.name, axis=0))
    return nodes


def _is_all_rows(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether a ScatterND writes every row of its data, by how its places are made."""
    shape, along = graph.known(node.input[0]), graph.producers.get(node.input[1])
    mode = next((a.s for a in node.attribute if a.name == "reduction"), b"none")
    if not shape or shape != graph.known(node.input[2]) or mode != b"none":
        return False
    count = graph.producers.get(along.input[0]) if along is not None else None
    if along is None or count is None:
        return False
    if (along.op_type, count.op_type) != ("Unsqueeze", "Range"):
        return False
    ends = [graph.values.get(name) for name in count.input]
    axis = graph.values.get(along.input[1])
    known = [int(v.reshape(-1)[0]) for v in (*ends, axis) if v is not None and v.size == 1]
    return known in ([0, shape[0], 1, -1], [0, shape[0], 1, 1])


def _slice(
    graph: Graph,
    owner: str,
    what: str,
    data: str,
    ends: list[int],
    nodes: list[onnx.NodeProto],
) -> str:
    name = f"{owner}/{what}"
    bounds = [graph.constant(f"{name}/in{k}", [end]) for k, end in enumerate(ends, start=1)]
    axes = graph.constant(f"{name}/in3", [0])
    nodes.append(helper.make_node("Slice", [data, *bounds, axes], [name], name=name))
    return name
