"""Nodes that hold graphs of their own (If, Loop, Scan): what those take from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx


def inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node holds; none for almost all nodes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def captured(node: onnx.NodeProto) -> list[str]:
    """Names that a node's graphs take from outside, each once."""
    names: dict[str, None] = {}
    for graph in inner_graphs(node):
        own = {value.name for value in (*graph.input, *graph.initializer)}
        for inner in graph.node:
            names.update(dict.fromkeys(name for name in reads(inner) if name not in own))
            own.update(inner.output)
        names.update(dict.fromkeys(v.name for v in graph.output if v.name not in own))
    return list(names)


def reads(node: onnx.NodeProto) -> list[str]:
    """All that a node reads: its inputs, and what its graphs take from outside."""
    outside = captured(node) if node.attribute else []
    return [*(name for name in node.input if name), *outside]


def rename_reads(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Give what a node reads other names, in place; also inside its graphs."""
    for position, name in enumerate(node.input):
        if name in names:
            node.input[position] = names[name]
    for graph in inner_graphs(node):
        own = {value.name for value in (*graph.input, *graph.initializer)}
        own.update(name for inner in graph.node for name in inner.output)
        # A name that an inner graph defines itself hides the outer one.
        outside = {name: new for name, new in names.items() if name not in own}
        for inner in graph.node:
            rename_reads(inner, outside)
        for value in graph.output:
            value.name = outside.get(value.name, value.name)
