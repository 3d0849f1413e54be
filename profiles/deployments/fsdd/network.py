"""Networks of depthwise separable convolutions for spoken words (Zhang et al. 2017, DS-CNN)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Separable(nn.Sequential):
    """A convolution of each channel by itself, then one of 1x1, each with BatchNorm and ReLU."""

    def __init__(self, inside: int, out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False),
            nn.BatchNorm2d(inside),
            nn.ReLU(),
            nn.Conv2d(inside, out, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        )


class Separable1d(nn.Sequential):
    """The same over time alone."""

    def __init__(self, inside: int, out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv1d(inside, inside, 9, stride, 4, groups=inside, bias=False),
            nn.BatchNorm1d(inside),
            nn.ReLU(),
            nn.Conv1d(inside, out, 1, bias=False),
            nn.BatchNorm1d(out),
            nn.ReLU(),
        )


class DsCnn(nn.Module):
    """Mels are the height of an image, frames its width."""

    def __init__(self, width: int, strides: tuple[int, ...], words: int) -> None:
        super().__init__()
        # The kernel of the paper's first layer: 4 mels by 10 frames.
        self.first = nn.Conv2d(1, width, (4, 10), 2, (1, 4), bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(*(Separable(width, width, stride) for stride in strides))
        self.out = nn.Linear(width, words)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """N 1 mels frames -> scores N words."""
        x = self.blocks(F.relu(self.norm(self.first(mels))))
        return self.out(F.adaptive_avg_pool2d(x, 1).flatten(1))


class DsCnn1d(nn.Module):
    """Mels are channels of a signal in time."""

    def __init__(self, mels: int, width: int, strides: tuple[int, ...], words: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(mels, width, 9, 1, 4, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.blocks = nn.Sequential(*(Separable1d(width, width, stride) for stride in strides))
        self.out = nn.Linear(width, words)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """N mels frames -> scores N words."""
        x = self.blocks(F.relu(self.norm(self.first(mels))))
        return self.out(F.adaptive_avg_pool1d(x, 1).flatten(1))


def ds_cnn() -> DsCnn:
    """46 thousand parameters, for 1 x 40 x 64 log-mels."""
    return DsCnn(width=96, strides=(1, 2, 1, 1), words=10)


def ds_cnn_1d() -> DsCnn1d:
    """229 thousand parameters, for 40 x 64 log-mels."""
    return DsCnn1d(mels=40, width=192, strides=(1, 2, 1, 1), words=10)
