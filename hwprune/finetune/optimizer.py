"""SGD with momentum, its learning rate by step, and which weights decay."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hwprune.recipe import Recipe


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD over all trainable weights; biases and BatchNorm do not decay."""
    norms = {
        id(parameter)
        for layer in module.modules()
        if isinstance(layer, _BatchNorm)
        for parameter in layer.parameters(recurse=False)
    }
    decaying: list[nn.Parameter] = []
    steady: list[nn.Parameter] = []
    for parameter in module.parameters():
        if parameter.requires_grad:
            fixed = id(parameter) in norms or parameter.ndim < 2
            (steady if fixed else decaying).append(parameter)
    groups = [
        {"params": decaying, "weight_decay": recipe.weight_decay},
        {"params": steady, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=recipe.lr,
        momentum=recipe.momentum,
        # torch refuses Nesterov's step without momentum.
        nesterov=recipe.momentum > 0,
    )


def learning_rate(step: int, steps_per_epoch: int, epochs: int, recipe: Recipe) -> float:
    """Learning rate of a step (0-based): linear warm-up, then a cosine down to nearly 0."""
    total = steps_per_epoch * epochs
    # One step at least is left for the cosine.
    warmup = min(round(steps_per_epoch * recipe.warmup_epochs), total - 1)
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def momentum_buffers(module: nn.Module, optimizer: torch.optim.SGD) -> dict[str, torch.Tensor]:
    """The optimizer's momentum by parameter name; empty before the first step."""
    buffers = {}
    for name, parameter in module.named_parameters():
        buffer = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if buffer is not None:
            buffers[name] = buffer
    return buffers


def restore_momentum(
    module: nn.Module, optimizer: torch.optim.SGD, buffers: dict[str, torch.Tensor]
) -> None:
    """Put back what `momentum_buffers` gave."""
    for name, parameter in module.named_parameters():
        if name in buffers:
            # In the parameter's own memory layout: SGD's fast path wants the two alike.
            buffer = torch.empty_like(parameter).copy_(buffers[name])
            optimizer.state[parameter]["momentum_buffer"] = buffer.detach()
