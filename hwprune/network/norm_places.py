"""Where a BatchNorm belongs in a network that has none any more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import onnx

from hwprune.channels.analysis import analyse
from hwprune_device.values import value_shapes

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_LAYERS = (*_CONVOLUTIONS, "Gemm", "MatMul", "Einsum", "LSTM", "GRU", "RNN")
_JOINS = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")


def norm_places(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The convolutions behind which a BatchNorm was folded away, or may stand without harm.

    They are those that see what a cut shifts or are cut themselves, except:
    - those that have their norm. Where most have, the exporter folded none, and there is no place;
    - maps of one place, as in squeeze-and-excitation: a few numbers have no steady statistics;
    - the last ones before an output, which no network normalises.

    Args:
        proto: in canonical form, weights named.
    """
    shapes = value_shapes(proto)
    weights = {tensor.name for tensor in proto.graph.initializer}
    apart = _before_outputs(proto, weights)
    shifted = _shifted(proto)
    found = [
        node
        for node in proto.graph.node
        if node.op_type in _CONVOLUTIONS
        and node.input[1] in weights
        and node.output[0] in shifted - apart
        and not _has_one_place(shapes.get(node.output[0], ()))
    ]
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        for name in set(node.input):
            readers.setdefault(name, []).append(node)
    bare = [node for node in found if not _is_normalised(readers, node, weights)]
    return bare if len(bare) * 2 > len(found) else []


def _has_one_place(shape: tuple[int | str, ...]) -> bool:
    return math.prod(size for size in shape[2:] if isinstance(size, int)) == 1


def _shifted(proto: onnx.ModelProto) -> set[str]:
    """Values that some cut changes."""
    shifted = {axis.initializer for axis in analyse(proto).axes}
    for node in proto.graph.node:
        # Nodes are in order of use, so one pass reaches all that follows.
        if shifted.intersection(node.input):
            shifted.update(node.output)
    return shifted


def _before_outputs(proto: onnx.ModelProto, weights: set[str]) -> set[str]:
    """Results of layers that reach an output through no other layer and no sum of two maps."""
    producers = {name: node for node in proto.graph.node for name in node.output}
    waiting = [value.name for value in proto.graph.output]
    last: set[str] = set()
    while waiting:
        name = waiting.pop()
        node = producers.get(name)
        if node is None or name in last:
            continue
        computed = [other for other in node.input if other and other not in weights]
        if node.op_type in _LAYERS:
            last.add(name)
        elif node.op_type not in _JOINS or len(computed) == 1:
            waiting += computed
    return last


def _is_normalised(
    all_readers: Mapping[str, Sequence[onnx.NodeProto]], conv: onnx.NodeProto, weights: set[str]
) -> bool:
    """Whether a BatchNorm alone reads the convolution, behind a bias or scale at most."""
    name = conv.output[0]
    while True:
        readers = all_readers.get(name, ())
        if len(readers) != 1 or readers[0].op_type not in (*_JOINS, "BatchNormalization"):
            return False
        if readers[0].op_type == "BatchNormalization":
            return True
        if sum(other not in weights for other in readers[0].input) > 1:
            return False
        name = readers[0].output[0]
