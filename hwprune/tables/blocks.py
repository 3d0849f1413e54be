"""Blocks of a network, each between its real neighbours: small networks to be timed on a board.

A network is parted where one tensor alone leads on: after a residual block, after a layer of a
plain chain. A block is timed in a window with the blocks before and after it, so that its input is
as warm and its output is read as soon as in the whole network. A window that does not begin with
the network's own input is fed by a cheap layer, and one that does not end with its outputs is
drained by one, so that the channels between can be cut as they can be inside of the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from hwprune.channels.base import BaseNetwork, make_base
from hwprune_device.layers import PRODUCTS
from hwprune_device.subgraphs import reads
from hwprune_device.values import Shape, value_shapes, weight_origins

COPIES = 16
"""Of a window at most; as many as have the weights of the network, so that caches are as cold, and
compute no more than it does: windows of early layers would take longer than the whole."""
AROUND = 1
"""Blocks before and after the one that a window is for."""
ENDS = 8
"""Channels that the layer in front of a window reads, and that the one behind it gives."""
_BEFORE_LAYERS = ("LayerNormalization", "RMSNormalization")
"""What a transformer's block begins with; other norms follow a layer and are fused with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A block with its neighbours, as a network of its own."""

    name: str
    """The first layer of the block that it is for."""
    base: BaseNetwork
    """One copy."""
    copies: int
    count: int
    """How often it is met in the network; 0 for the ends of windows alone."""
    measured: BaseNetwork
    """The copies beside each other; their groups have those of one copy's widths, in turn."""


def windows_of(base: BaseNetwork) -> list[Window]:
    """The distinct windows of a network, in its order; empty where it has but one block."""
    parts = _Parts(onnx.load_model_from_string(base.onnx))
    if len(parts.blocks) < 2:
        return []
    found: dict[str, Window] = {}
    for number in range(len(parts.blocks)):
        span = max(0, number - AROUND), min(len(parts.blocks), number + AROUND + 1)
        one = make_base(parts.network(*span))
        known = found.get(one.architecture)
        if known is not None:
            found[one.architecture] = replace(known, count=known.count + 1)
            continue
        copies = _copies(one, base)
        found[one.architecture] = Window(
            name=parts.name(number),
            base=one,
            copies=copies,
            count=1,
            measured=make_base(parts.network(*span, copies=copies)),
        )
    return [*found.values(), *_ends(parts, base)]


def _copies(one: BaseNetwork, whole: BaseNetwork) -> int:
    """As many as have the weights of the whole, and do not compute more than it does."""
    mine, all_ = one.cost_model, whole.cost_model
    weights = all_.params(whole.widths) / max(1, mine.params(one.widths))
    work = all_.macs(whole.widths) / max(1, mine.macs(one.widths))
    return min(COPIES, max(1, round(min(weights, work))))


def _ends(parts: _Parts, base: BaseNetwork) -> list[Window]:
    """The layers at windows' ends alone, so that what these take is not taken for the blocks'."""
    found: dict[str, Window] = {}
    for name in parts.boundaries:
        one = make_base(parts.ends(name))
        copies = _copies(one, base)
        found[one.architecture] = Window(
            name=f"ends of {name}",
            base=one,
            copies=copies,
            count=0,
            measured=make_base(parts.ends(name, copies=copies)),
        )
    return list(found.values())


class _Parts:
    """A graph, parted in blocks of consecutive nodes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._shapes = value_shapes(model)
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._origins = weight_origins(model.graph)
        self._turned = _of_weights(model.graph, self._weights)
        # Nodes that turn weights are in no block: each block that reads the weights takes them.
        known = {name for node in self._turned.values() for name in node.output}
        self._nodes = [n for n in model.graph.node if not n.output or n.output[0] not in known]
        self._needed = _leading_on(self._nodes, model.graph, {*self._weights, *known})
        self.blocks = list(self._blocks())
        """[first node, last node + 1] of each."""

    def name(self, block: int) -> str:
        """The first layer with weights of a block."""
        first, last = self.blocks[block]
        return next(
            (
                self._origins[node.input[1]].rpartition(".")[0] or node.name
                for node in self._nodes[first:last]
                if self._is_layer(node)
            ),
            self._nodes[first].name,
        )

    def network(self, first: int, last: int, copies: int = 1) -> bytes:
        """Copies of the blocks from `first` to before `last`, beside each other, as a network."""
        begin, end = self.blocks[first][0], self.blocks[last - 1][1]
        nodes = self._with_turned(self._nodes[begin:end])
        made = {name for node in nodes for name in node.output}
        entered = [n for n in dict.fromkeys(_read(nodes)) if n not in made | set(self._weights)]
        # Behind the last block there is nothing to drain into: it ends with the network's outputs.
        left = self._needed[end - 1] if end < len(self._nodes) else ()
        return self._network(nodes, entered, left, copies)

    @property
    def boundaries(self) -> list[str]:
        """The values that lead from one block to the next."""
        return list(dict.fromkeys(n for _, end in self.blocks[:-1] for n in self._needed[end - 1]))

    def ends(self, name: str, copies: int = 1) -> bytes:
        """The layers that feed and drain a value, without anything between."""
        return self._network([], [name], [name], copies)

    def _network(
        self,
        nodes: Sequence[onnx.NodeProto],
        entered: Sequence[str],
        left: Sequence[str],
        copies: int,
    ) -> bytes:
        """Copies of nodes with their ends; `entered` and `left`: values that go in and out."""
        graph = self._model.graph
        own = {value.name: value for value in graph.input}
        feeds = [_End.feeding(name, self._shapes[name]) for name in entered if name not in own]
        drains = [_End.draining(name, self._shapes[name]) for name in left]
        used = set(_read(nodes))
        inputs = [*(own[name] for name in entered if name in own), *(feed.value for feed in feeds)]
        one = helper.make_graph(
            [*(feed.node for feed in feeds), *nodes, *(drain.node for drain in drains)],
            "window",
            inputs,
            [drain.value for drain in drains] or list(graph.output),
            [
                *(end.weight for end in (*feeds, *drains)),
                *(tensor for name, tensor in self._weights.items() if name in used),
            ],
        )
        network = onnx.GraphProto(name="window", input=inputs)
        for number in range(copies):
            # Inputs keep their names, so all copies read the same ones.
            copy = compose.add_prefix_graph(one, f"{number}.", rename_inputs=False)
            network.node.extend(copy.node)
            network.initializer.extend(copy.initializer)
            network.output.extend(copy.output)
        model = helper.make_model(network, opset_imports=self._model.opset_import)
        model.ir_version = self._model.ir_version
        return bytes(model.SerializeToString())

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Parted where one value leads on and the next node begins something."""
        begin, layers = 0, 0
        for number, node in enumerate(self._nodes):
            alone = number > 0 and len(self._needed[number - 1]) == 1
            # What follows a layer, such as its activation, stays with it in one block.
            if alone and layers and (self._is_layer(node) or node.op_type in _BEFORE_LAYERS):
                yield begin, number
                begin, layers = number, 0
            layers += self._is_layer(node)
        yield begin, len(self._nodes)

    def _is_layer(self, node: onnx.NodeProto) -> bool:
        # A product of two values, as in attention, has no weights and is no layer.
        return node.op_type in PRODUCTS and node.input[1] in self._origins

    def _with_turned(self, nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """Nodes, after those that turn the weights that they read."""
        asked, needed = list(_read(nodes)), set()
        while asked:
            name = asked.pop()
            if name in self._turned and name not in needed:
                needed.add(name)
                asked += reads(self._turned[name])
        first = {self._turned[name].output[0] for name in needed}
        return [*(self._turned[name] for name in self._turned if name in first), *nodes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """A cheap layer at one end of a window: 1 x 1 over N C H W, a product if channels are last."""

    value: onnx.ValueInfoProto
    """What the window takes or gives there."""
    node: onnx.NodeProto
    weight: onnx.TensorProto

    @classmethod
    def feeding(cls, name: str, shape: Shape) -> _End:
        """What brings the window a value."""
        return cls._of(name, shape, source=f"{name}.fed", result=name, feeds=True)

    @classmethod
    def draining(cls, name: str, shape: Shape) -> _End:
        """What reads a value that the window would give."""
        return cls._of(name, shape, source=name, result=f"{name}.drained", feeds=False)

    @classmethod
    def _of(cls, name: str, shape: Shape, *, source: str, result: str, feeds: bool) -> _End:
        maps = len(shape) == 4
        channels = int(shape[1] if maps else shape[-1])
        before, after = (ENDS, channels) if feeds else (channels, ENDS)
        dims = (after, before, 1, 1) if maps else (before, after)
        weight = f"{name}.{'feed' if feeds else 'drain'}.weight"
        # N C H W, or channels last.
        sizes = ["N", ENDS, *shape[2:]] if maps else ["N", *shape[1:-1], ENDS]
        return cls(
            value=helper.make_tensor_value_info(
                source if feeds else result, TensorProto.FLOAT, sizes
            ),
            node=helper.make_node("Conv" if maps else "MatMul", [source, weight], [result]),
            weight=numpy_helper.from_array(np.full(dims, 0.01, np.float32), weight),
        )


def _of_weights(
    graph: onnx.GraphProto, weights: dict[str, onnx.TensorProto]
) -> dict[str, onnx.NodeProto]:
    """By value, the nodes that read nothing but weights: whoever reads the value has them too."""
    found: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        if all(name in weights or name in found for name in reads(node) if name):
            found.update((name, node) for name in node.output if name)
    return found


def _leading_on(
    nodes: Sequence[onnx.NodeProto], graph: onnx.GraphProto, weights: set[str]
) -> list[tuple[str, ...]]:
    """After each node, the values that nodes after it or the network's user read."""
    last: dict[str, int] = {}
    for number, node in enumerate(nodes):
        for name in reads(node):
            last[name] = number
    for value in graph.output:
        # Outputs are read after all nodes.
        last[value.name] = len(nodes)
    # Before IR version 4, ONNX lists weights among the inputs as well.
    alive = {value.name for value in graph.input if value.name not in weights}
    found = []
    for number, node in enumerate(nodes):
        alive.update(name for name in node.output if name)
        alive = {name for name in alive if last.get(name, -1) > number}
        found.append(tuple(sorted(alive)))
    return found


def _read(nodes: Sequence[onnx.NodeProto]) -> Iterator[str]:
    for node in nodes:
        yield from (name for name in reads(node) if name)
