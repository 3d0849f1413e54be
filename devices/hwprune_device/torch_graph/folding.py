"""Folds BatchNorm into the convolution before it: fewer passes over memory for inference."""

from __future__ import annotations

from collections import Counter

import torch
from torch import fx, nn


def fold_batchnorm(module: fx.GraphModule) -> None:
    """Fold every BatchNorm2d that alone reads a convolution into it, in place.

    The layers are exchanged and the graph is left as it is, because generating its code again
    costs more than a small network saves. The module is good for inference only after this.
    """
    layers = dict(module.named_modules())
    calls = Counter(str(node.target) for node in module.graph.nodes if node.op == "call_module")
    for node in module.graph.nodes:
        norm = layers.get(str(node.target)) if node.op == "call_module" else None
        # Without running statistics it normalises by the batch, also at inference.
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_var is None:
            continue
        source = node.args[0]
        conv = layers.get(str(source.target)) if source.op == "call_module" else None
        alone = isinstance(conv, nn.Conv2d) and len(source.users) == 1
        # A layer that the graph calls twice cannot carry two different foldings.
        if alone and calls[str(source.target)] == calls[str(node.target)] == 1:
            _fold(conv, norm)  # type: ignore[arg-type]
            module.set_submodule(str(node.target), nn.Identity())


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    with torch.no_grad():
        # BatchNorm is y = (x - mean) * factor + bias; a convolution is linear, so both go into it.
        factor = torch.rsqrt(variance + norm.eps)
        if norm.weight is not None:
            factor = factor * norm.weight
        shift = -mean if conv.bias is None else conv.bias.float() - mean
        bias = shift * factor + (0 if norm.bias is None else norm.bias)
        # O I H W: a factor for each output channel.
        weight = conv.weight.float() * factor[:, None, None, None]
        kind = conv.weight.dtype
        conv.weight = nn.Parameter(
            weight.to(kind, memory_format=torch.channels_last), requires_grad=False
        )
        conv.bias = nn.Parameter(bias.to(kind), requires_grad=False)
