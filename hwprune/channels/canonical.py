"""The canonical form of an ONNX model: one way to write each thing, so equal networks look equal.

Constants are initializers, each integer constant belongs to one node (a cut may patch it without
touching another), reshapes carry no batch size, every node has a unique name.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from hwprune.channels.lists import write_lists
from hwprune.channels.nodes import replace_nodes
from hwprune.channels.rewrites import rewritten
from hwprune.channels.rules import rule_of
from hwprune_device.subgraphs import reads, rename_reads

_INTEGERS = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)


def canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in canonical form; the given one is changed and returned.

    Nothing is computed and no float weight is touched, so outputs stay bit for bit the same.
    """
    graph = model.graph
    _lift_constants(graph)
    _drop_notes(model)
    _drop_identities(graph)
    write_lists(graph)
    _name_nodes(graph)
    _own_literals(graph)
    # Rewrites patch numbers in place, so no two nodes may share one by now.
    rewritten(model)
    # Again: a value that a rewrite made a constant may have several readers.
    _own_literals(graph)
    _drop_unused(graph)
    _drop_notes(model)
    return model


def _lift_constants(graph: onnx.GraphProto) -> None:
    nodes = []
    for node in graph.node:
        tensor = _constant_of(node) if node.op_type == "Constant" else None
        if tensor is None:
            nodes.append(node)
        else:
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
    replace_nodes(graph, nodes)


def _constant_of(node: onnx.NodeProto) -> onnx.TensorProto | None:
    attribute = node.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return value
    # Texts and sparse tensors stay nodes: no rule reads them.
    kinds = {"value_int": "int64", "value_ints": "int64"}
    kinds |= {"value_float": "float32", "value_floats": "float32"}
    if attribute.name not in kinds:
        return None
    return numpy_helper.from_array(np.asarray(value, dtype=kinds[attribute.name]))


def _drop_identities(graph: onnx.GraphProto) -> None:
    """Identity nodes vanish unless they give a graph output its name."""
    outputs = {value.name for value in graph.output}
    alias: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        rename_reads(node, alias)
        if node.op_type == "Identity" and node.output[0] not in outputs:
            alias[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    replace_nodes(graph, nodes)


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Unique names; a node without one is named after its weight: `layer1.conv1/Conv`."""
    weights = {tensor.name for tensor in graph.initializer}
    taken: set[str] = set()
    last: dict[str, int] = {}
    for node in graph.node:
        paths = [n.rpartition(".")[0] for n in node.input if n in weights and "." in n]
        stem = node.name or (f"{paths[0]}/{node.op_type}" if paths else node.op_type)
        # From the last number on: from 1 it would be quadratic in the nodes of one stem.
        name, number = stem, last.get(stem, 1)
        while name in taken:
            name, number = f"{stem}_{number}", number + 1
        last[stem] = number
        taken.add(name)
        node.name = name


def _own_literals(graph: onnx.GraphProto) -> None:
    """Each use of an integer constant gets a constant of its own, named after the node."""
    constants = {t.name: t for t in graph.initializer if t.data_type in _INTEGERS}
    for node in graph.node:
        for position, name in enumerate(node.input):
            own_name = f"{node.name}/in{position}"
            if name in constants and name != own_name:
                array = numpy_helper.to_array(constants[name])
                graph.initializer.append(numpy_helper.from_array(array, own_name))
                node.input[position] = own_name


def _drop_unused(graph: onnx.GraphProto) -> None:
    needed = {value.name for value in graph.output}
    nodes = []
    # From the end, so that a node whose only reader was dropped goes in the same pass.
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(reads(node))
    replace_nodes(graph, nodes[::-1])
    names = {tensor.name for tensor in graph.initializer}
    # Deleted where they are: copying the others would cost as much memory as the network.
    for owner, gone in ((graph.initializer, names - needed), (graph.input, names)):
        for position in reversed(range(len(owner))):
            if owner[position].name in gone:
                del owner[position]


def _drop_notes(model: onnx.ModelProto) -> None:
    graph = model.graph
    for owner in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        owner.ClearField("doc_string")
        owner.ClearField("metadata_props")
    model.ClearField("doc_string")
    unknown = _of_unknown_ops(graph)
    kept = [value for value in graph.value_info if value.name in unknown]
    copies = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
    graph.ClearField("value_info")
    graph.value_info.extend(copies)


def _of_unknown_ops(graph: onnx.GraphProto) -> set[str]:
    """Results of ops that have no rule: no cut changes their shapes, and few can infer them."""
    return {name for node in graph.node if rule_of(node) is None for name in node.output}
