"""Where in a network's graph a channel group can be looked at: behind the layers that write it."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hwprune.errors import NetworkError
from hwprune.saliency.output_axes import TURNS, OutputAxis, output_axes
from hwprune.saliency.registry import Subject
from hwprune.saliency.sample import task_of
from hwprune.task.items import Inputs, example_of
from hwprune_device.plan import Span

Behind = Literal["norm", "activation"]
"""Behind a layer's BatchNorm, or behind all that follows it channel by channel."""

_CHANNELWISE = {
    torch.abs, torch.add, torch.clamp, torch.mul, torch.relu, torch.sigmoid, torch.tanh,
    F.celu, F.elu, F.gelu, F.hardswish, F.leaky_relu, F.mish, F.relu, F.relu6, F.selu, F.silu,
    F.softplus, F.softsign, operator.add, operator.mul,
}  # fmt: skip
_PRODUCTS = {torch.matmul, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d}
_MAPS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, _BatchNorm)
"""Layers whose channels are on axis 1; those of other layers are last."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """A value of the graph whose channels are units of groups."""

    layer: str
    """The first layer of those that write it."""
    node: fx.Node
    axis: int
    """1 for N C H W, -1 for N L C and N C."""
    shape: tuple[int, ...]
    """For one image."""
    spans: tuple[Span, ...]

    def channels(self, value: torch.Tensor) -> torch.Tensor:
        """The place's value with its channels on axis 1: N C H W, N C L or N C."""
        return value.movedim(self.axis, 1)


def graph_module(subject: Subject) -> fx.GraphModule:
    """The subject's module, in eval mode.

    Raises:
        NetworkError: it is no torch twin, so its inner values cannot be reached.
    """
    module = subject.module
    if not isinstance(module, fx.GraphModule):
        raise NetworkError(
            "the channels of this module cannot be observed",
            given=type(module).__name__,
            next_step="give the module that hwprune.network.graph_module.to_module made",
        )
    return module.eval()


def written_places(graph: fx.GraphModule, subject: Subject, behind: Behind) -> list[Place]:
    """Every value behind a layer that writes a group, in the plan's order, each once.

    From the layer on, the way goes through what works channel by channel (BatchNorm, and with
    "activation" also activations, scales and sums of one shape) as long as nothing else reads
    what lies before; so a residual stream is seen where its readers see it.

    Args:
        graph: the subject's twin.
        subject: its plan gives the layers, an input of its task the shapes.
        behind: how far the way goes.

    Raises:
        DataError: the subject has no task.
    """
    # fx keeps no shapes, so the network is run once on one item.
    shapes = _shapes(graph, example_of(task_of(subject)))
    places: dict[fx.Node, Place] = {}
    for axis in output_axes(graph, subject.plan):
        for node, channels in _writers(graph, axis):
            end = node
            while (onward := _onward(graph, end, shapes, behind)) is not None:
                end = onward
            size = sum(span.size for span in axis.spans)
            # Where a reshape came between, the axis no longer has the layer's channels.
            if end in shapes and len(shapes[end]) > 1 and shapes[end][channels] == size:
                # Two layers whose ways end in one sum are seen there once.
                places.setdefault(
                    end,
                    Place(
                        layer=axis.layer,
                        node=end,
                        axis=channels,
                        shape=shapes[end],
                        spans=axis.spans,
                    ),
                )
    return list(places.values())


def _writers(graph: fx.GraphModule, axis: OutputAxis) -> Iterator[tuple[fx.Node, int]]:
    """Nodes that compute the layer's outputs, and which axis their channels are on."""
    for node in graph.graph.nodes:
        if node.op == "call_module" and node.target == axis.layer:
            yield node, 1 if isinstance(graph.get_submodule(axis.layer), _MAPS) else -1
        elif node.op == "get_attr" and node.target == f"{axis.layer}.weight":
            for user in behind_turns(node):
                if user.target in _PRODUCTS:
                    yield user, -1 if user.target is torch.matmul else 1


def behind_turns(weight: fx.Node) -> list[fx.Node]:
    """What uses a weight, as it is or transposed."""
    found: list[fx.Node] = []
    for user in weight.users:
        found += behind_turns(user) if user.target in TURNS else [user]
    return found


def _onward(
    graph: fx.GraphModule, node: fx.Node, shapes: Mapping[fx.Node, tuple[int, ...]], behind: Behind
) -> fx.Node | None:
    """The next node on the way; None where it ends."""
    users = list(node.users)
    if len(users) == 2 and list(users[0].users) == [users[1]]:
        # x * sigmoid(x): both users are one activation.
        users = users[1:] if _passes(graph, users[0], behind) else users
    if len(users) != 1 or not _passes(graph, users[0], behind):
        return None
    # A sum that broadcasts has more values than the channels on the way.
    return users[0] if shapes.get(users[0]) == shapes.get(node) else None


def _passes(graph: fx.GraphModule, node: fx.Node, behind: Behind) -> bool:
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), _BatchNorm)
    return behind == "activation" and node.op == "call_function" and node.target in _CHANNELWISE


def _shapes(graph: fx.GraphModule, example: Inputs) -> dict[fx.Node, tuple[int, ...]]:
    """The shape of every tensor of the graph."""
    shapes: dict[fx.Node, tuple[int, ...]] = {}

    class Shapes(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, torch.Tensor):
                shapes[n] = tuple(value.shape)
            return value

    with torch.no_grad():
        Shapes(graph).run(*example)
    return shapes
