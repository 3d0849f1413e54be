"""Small real networks whose blocks are timed, traced once in a test run."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import torch
from torch import nn

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.network.trace import trace
from hwprune.network.zoo import CifarResNet


class Tokens(nn.Module):
    """Two multi-layer perceptrons in a row over tokens N T C, each with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(6, 16)
        self.inner = nn.ModuleList(nn.Linear(16, 24) for _ in range(2))
        self.outer = nn.ModuleList(nn.Linear(24, 16) for _ in range(2))
        self.leave = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N T 6 -> N T 3."""
        x = self.enter(x)
        for inner, outer in zip(self.inner, self.outer, strict=True):
            x = x + outer(torch.relu(inner(x)))
        return self.leave(x)


def traced_base(module: nn.Module, *shape: int) -> BaseNetwork:
    """The base of a module that takes inputs of this shape at batch 1."""
    torch.manual_seed(0)
    return make_base(trace(module.eval(), torch.zeros(1, *shape)))


@cache
def chain() -> BaseNetwork:
    """Three convolutions in a row and a classifier."""
    layers: list[nn.Module] = []
    for before, after in ((1, 8), (8, 16), (16, 16)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return traced_base(
        nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4)), 1, 8, 8
    )


@cache
def residual() -> BaseNetwork:
    """CIFAR's residual network, two blocks a stage."""
    return traced_base(CifarResNet(2), 3, 16, 16)


@cache
def repeated() -> BaseNetwork:
    """Six equal convolutions after another one, and a classifier."""
    layers: list[nn.Module] = [nn.Conv2d(2, 8, 3, padding=1), nn.ReLU()]
    for _ in range(6):
        layers += [nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    return traced_base(
        nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)), 2, 8, 8
    )


@cache
def vectors() -> BaseNetwork:
    """A perceptron over vectors."""
    widths = (10, 32, 24, 16)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return traced_base(nn.Sequential(*layers, nn.Linear(16, 2)), 10)


@cache
def tokens() -> BaseNetwork:
    """Residual perceptrons over tokens."""
    return traced_base(Tokens(), 5, 6)


@cache
def alone() -> BaseNetwork:
    """A network of one block: what enters its one residual is needed to its end."""
    return traced_base(_Alone(), 4, 8, 8)


class _Alone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.last(torch.relu(self.first(x)))
