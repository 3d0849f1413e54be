"""What lies before every cut: it still computes what it did, so imitation leaves it as it is."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import fx, nn


def upstream(module: nn.Module, teacher: nn.Module) -> tuple[nn.Parameter, ...]:
    """The weights of a cut network on which no cut has a bearing.

    Those of layers whose own weights, and all before them, are still the unpruned network's. An
    ONNX graph may hold fixed filters there (a spectrogram's), through which gradients are wild.

    Args:
        module: a graph made from ONNX, not trained yet; of other modules nothing is known.
        teacher: the unpruned network, made alike.
    """
    if not isinstance(module, fx.GraphModule) or not isinstance(teacher, fx.GraphModule):
        return ()
    whole = dict(teacher.named_parameters())
    untouched: set[fx.Node] = set()
    found: dict[str, nn.Parameter] = {}
    for node in module.graph.nodes:
        own = dict(_weights(module, node))
        # Nodes are in order of use: what a node reads is settled before it.
        if untouched.issuperset(node.all_input_nodes) and all(
            name in whole and torch.equal(value.cpu(), whole[name].cpu())
            for name, value in own.items()
        ):
            untouched.add(node)
            found |= own
    # A layer may be called twice, and see what a cut made the second time.
    for node in module.graph.nodes:
        if node not in untouched:
            for name, _ in _weights(module, node):
                found.pop(name, None)
    return tuple(found.values())


def _weights(module: fx.GraphModule, node: fx.Node) -> Iterator[tuple[str, nn.Parameter]]:
    """A node's own weights, by name."""
    target = str(node.target)
    if node.op == "call_module":
        for name, value in module.get_submodule(target).named_parameters():
            yield f"{target}.{name}", value
    elif node.op == "get_attr":
        yield from ((name, value) for name, value in module.named_parameters() if name == target)
