"""Small networks of which it is known what each channel does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import nn

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.network.graph_module import to_module, to_onnx
from hwprune.network.trace import trace
from hwprune.saliency.registry import Subject
from hwprune.task.task import Task
from tests.digits import digit_images

EXAMPLE = (1, 1, 8, 8)


def subject(base: BaseNetwork, task: Task | None = None, seed: int = 0) -> Subject:
    """What criteria are given."""
    return Subject(module=to_module(base.onnx), plan=base.plan, task=task, seed=seed)


_TRACED: dict[str, BaseNetwork] = {}


def traced(net: nn.Module) -> BaseNetwork:
    """A network for digits, as a base network; one structure is traced once."""
    structure = repr(net)
    if structure not in _TRACED:
        _TRACED[structure] = make_base(trace(net.eval(), torch.zeros(EXAMPLE)))
    known = _TRACED[structure]
    return replace(known, onnx=to_onnx(net, known.onnx))


@cache
def planted(conv_type: type = nn.Conv2d, norm: bool = True) -> BaseNetwork:
    """A network of which channels 2 and 5 do next to nothing."""
    torch.manual_seed(0)
    layers = [conv_type(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    net = nn.Sequential(
        *(layers if norm else [layers[0], layers[2]]),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    with torch.no_grad():
        writers = net[0].weight if conv_type is nn.Conv2d else net[0].weight.transpose(0, 1)
        for channel in (2, 5):
            writers[channel] *= 1e-3
            net[0].bias[channel] *= 1e-3
            if norm:
                net[1].weight[channel] *= 1e-3
                net[1].bias[channel] *= 1e-3
    return traced(net)


class Rows(nn.Module):
    """An LSTM over the rows of a digit: its hidden units are the only group."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 8)
        self.last = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N 1 8 8 -> N 10."""
        return self.last(self.lstm(x[:, 0].transpose(0, 1))[0][-1])


class Depthwise(nn.Module):
    """A group that a depthwise convolution alone reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3)
        self.each = nn.Conv2d(8, 8, 3, groups=8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N 1 8 8 -> N 16."""
        return self.each(self.first(x)).mean(1).flatten(1)


def plain_cnn(width: int = 8) -> nn.Sequential:
    """Two convolutions with live BatchNorms; `net[0]` writes the group that tests look at."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 10),
    )
    net.train()
    with torch.no_grad():
        net(digit_images("train", 256))
    return net.eval()


@cache
def dead() -> BaseNetwork:
    """A network whose first layer puts out nothing at all on channel 3."""
    net = plain_cnn()
    with torch.no_grad():
        net[1].weight[3] = net[1].bias[3] = 0.0
        net[0].weight[3] = 0.0
    return traced(net)


class Tokens(nn.Module):
    """A residual block of linear layers over tokens, N L C, as transformers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 2, stride=2)
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N 1 8 8 -> N 10."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.down(torch.nn.functional.gelu(self.up(x)))
        return self.head(x.mean(1))


@cache
def tokens() -> BaseNetwork:
    """A network of tokens: groups of 16 channels in the stream, and of 32 inside."""
    torch.manual_seed(0)
    return traced(Tokens())
