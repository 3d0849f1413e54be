"""What the layers of an engine took, and which layers of the network they are.

TensorRT calls what it fuses after all nodes in it: "conv/Conv + relu/Relu", "PWN(a, b)". What its
compiler takes over as one has a name that lists none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import onnx

from hwprune_device.layers import Layers
from hwprune_device.runtimes.runtime import Part, typical

_COPY = re.compile(r"^Reformatting CopyNode for .* (?:to|of|from) ")
# What TensorRT writes between the names of nodes that it fused; PWN: pointwise.
_BETWEEN = re.compile(r" \+ |PWN\(|\)|, ")


def parts_of(model: bytes, runs: Sequence[Mapping[str, float]]) -> list[Part]:
    """Layers of an engine in an average run.

    Args:
        model: the network that the engine was built of.
        runs: milliseconds by name.
    """
    graph = onnx.load_model_from_string(model).graph
    network = Layers(graph)
    kinds = {node.output[0]: node.op_type for node in graph.node}
    names = list(dict.fromkeys(name for run in runs for name in run))
    took = typical([[run.get(name, 0.0) for name in names] for run in runs])
    parts = []
    for name, ms in zip(names, took, strict=True):
        values = _values(network, name)
        copies = _COPY.match(name) is not None
        # A copy is named after the layer it is for, whose kind it has not.
        op = "Reformat" if copies else ", ".join(dict.fromkeys(kinds[v] for v in values))
        layer = network.joint(values) if values else ""
        parts.append(Part(name=name, op=op or name.partition("[")[0], ms=ms, layer=layer))
    return parts


def _values(network: Layers, name: str) -> list[str]:
    """First values of the nodes that a layer of an engine is called after."""
    nodes = _BETWEEN.split(_COPY.sub("", name))
    return [value for node in nodes if (value := network.made_by(node.strip()))]
