"""The torch module of an ONNX graph: real layers at the paths of their weights, joined by fx."""

from __future__ import annotations

import enum
import json
import keyword
from collections.abc import Iterable, Sequence
from itertools import islice

import onnx
from torch import fx

from hwprune_device.output_structure import arranged, recorded_structure
from hwprune_device.subgraphs import reads
from hwprune_device.torch_graph.network_module import MADE, NetworkModule
from hwprune_device.torch_graph.ops import EMITS
from hwprune_device.torch_graph.reference import ReferenceLayer
from hwprune_device.torch_graph.twin import Twin
from hwprune_device.values import BUFFERS_KEY, SHARED_KEY, metadata, value_shapes

_TAKEN = {"torch", "device", "inf", "nan"}
"""Words that have a meaning of their own in the code that fx writes."""


class UnknownOperatorError(ValueError):
    """A node that torch's side has no twin of."""

    def __init__(self, said: str, node: str) -> None:
        self.said = said
        self.node = node
        super().__init__(f"the network cannot be rebuilt in torch: {said} (node '{node}')")


class Unknown(enum.Enum):
    """What becomes of a node that torch's side has no twin of."""

    REFUSED = "refused"
    COMPUTED = "computed"
    """By ONNX's reference implementation: slow, and nothing learns through it."""
    UNUSED = "unused"
    """It stands in its place and is not run."""


def module_of(model: bytes, unknown: Unknown = Unknown.REFUSED) -> NetworkModule:
    """An ONNX graph as a torch module that computes, trains and moves like any other.

    Its arguments have the names of the graph's inputs, as far as Python has such names, and its
    outputs are arranged as those of the module that was traced.

    Args:
        model: ONNX bytes in canonical form, as a trace, a base network or a cut has it.
        unknown: what becomes of nodes that torch's side does not know.

    Raises:
        UnknownOperatorError: such a node is refused, or ONNX does not know it either.
    """
    proto = onnx.load_model_from_string(model)
    notes = metadata(proto)
    ranks = {name: len(shape) for name, shape in value_shapes(proto).items()}
    twin = Twin(proto.graph, set(json.loads(notes.get(BUFFERS_KEY, "[]"))), ranks)
    names = [value.name for value in proto.graph.input]
    for name, argument in zip(names, _arguments(twin, names), strict=True):
        twin.set(name, argument)
    for node in proto.graph.node:
        # One ONNX node may become several of fx; each notes what it is for.
        before = len(twin.fx.nodes)
        _emit(twin, node, proto.opset_import, unknown)
        for made in islice(reversed(twin.fx.nodes), len(twin.fx.nodes) - before):
            made.meta[MADE] = node.output[0]
    outputs = [twin.get(value.name) for value in proto.graph.output]
    twin.fx.output(arranged(outputs, recorded_structure(proto)))
    module = NetworkModule(twin.root, twin.fx)
    module.keep_constants(twin.constants)
    # Last: both names have to be there, or be made.
    for names in json.loads(notes.get(SHARED_KEY, "[]")):
        module.share(names)
    return module.eval()


def _emit(
    twin: Twin,
    node: onnx.NodeProto,
    opsets: Sequence[onnx.OperatorSetIdProto],
    unknown: Unknown,
) -> None:
    emit = EMITS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    try:
        if emit is None:
            raise NotImplementedError(f"op {node.op_type}")
        result = emit(twin, node)
    # A twin that looks for an input or attribute it needs, and that is not there.
    except (NotImplementedError, KeyError, IndexError) as error:
        said = str(error) if isinstance(error, NotImplementedError) else f"op {node.op_type}"
        try:
            if unknown is Unknown.REFUSED:
                raise NotImplementedError(said) from error
            layer = ReferenceLayer(node, opsets, reads(node))
            if unknown is Unknown.COMPUTED:
                layer.prepare()
        except NotImplementedError as reason:
            raise UnknownOperatorError(said, node.name) from reason
        _refer(twin, node, layer)
        return
    results = result if isinstance(result, tuple) else (result,)
    # A twin may give fewer, as that of a Shape does, which sets a list.
    for name, value in zip(node.output, results, strict=False):
        twin.set(name, value)


def _refer(twin: Twin, node: onnx.NodeProto, layer: ReferenceLayer) -> None:
    """Put a layer in the place of a node."""
    inputs = [twin.get(name) for name in layer.names]
    path = f"_reference_{len(list(twin.root.children()))}"
    names = [name for name in node.output if name]
    found = twin.items(twin.layer(path, lambda: layer, *inputs), len(names))
    for name, value in zip(names, found, strict=True):
        twin.set(name, value)


def _arguments(twin: Twin, names: Iterable[str]) -> list[fx.Node]:
    """Arguments of the module, called as the inputs are where Python and fx have room for that."""
    # fx takes a name with a line break at its end for a legal one.
    plain = (name.strip() or "_" for name in names)
    nodes = [twin.fx.placeholder("self_" if name == "self" else name) for name in plain]
    # fx has given the nodes names that are legal, and no two the same.
    taken = {node.name for node in nodes}
    for node in nodes:
        name = str(node.target)
        if not _can_be_argument(name) or (name != node.name and name in taken):
            node.target = node.name
    return nodes


def _can_be_argument(name: str) -> bool:
    return (
        name.isidentifier()
        and name.isascii()
        and not keyword.iskeyword(name)
        and name not in _TAKEN
    )
