"""A small U-Net: for every pixel the logit that it belongs to a nucleus."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class Convs(nn.Sequential):
    """3x3 convolutions, each with BatchNorm and ReLU."""

    def __init__(self, *widths: int, stride: int = 1) -> None:
        layers: list[nn.Module] = []
        for inside, out in pairwise(widths):
            step = 1 if layers else stride
            layers += [
                nn.Conv2d(inside, out, 3, step, 1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(),
            ]
        super().__init__(*layers)


class UNet(nn.Module):
    """Ronneberger et al. 2015, with padding, BatchNorm and nearest upsampling.

    The first convolution halves the resolution and the logits are doubled in size at the end.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.first = Convs(1, widths[0], widths[0], stride=2)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(Convs(wide, deep, deep) for wide, deep in pairs)
        self.up = nn.ModuleList(Convs(deep + wide, wide) for wide, deep in reversed(pairs))
        self.out = nn.Conv2d(widths[0], 1, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """N 1 H W, sides divisible by 2 for each level -> logits N 1 H W."""
        x = self.first(images)
        seen = []
        for down in self.down:
            seen.append(x)
            x = down(F.max_pool2d(x, 2))
        for up in self.up:
            x = up(torch.cat([F.interpolate(x, scale_factor=2.0), seen.pop()], 1))
        return F.interpolate(self.out(x), scale_factor=2.0, mode="bilinear")


def unet() -> UNet:
    """0.34 million parameters, for 1 x 256 x 256 images."""
    return UNet((16, 32, 64, 96))
