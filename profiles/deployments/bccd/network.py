"""A small anchor-free detector: a residual backbone, three strides fused to one, two heads."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


class ConvNorm(nn.Sequential):
    """A convolution and its BatchNorm."""

    def __init__(self, inside: int, out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inside, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out)
        )


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width)
        self.second = ConvNorm(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N C H W -> N C H W."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class Stage(nn.Module):
    """Halves the resolution, then residual blocks."""

    def __init__(self, inside: int, out: int, blocks: int) -> None:
        super().__init__()
        self.down = ConvNorm(inside, out, stride=2)
        self.blocks = nn.Sequential(*(Block(out) for _ in range(blocks)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N C H W -> N C' H/2 W/2."""
        return self.blocks(F.relu(self.down(x)))


class DenseHead(nn.Module):
    """One 3x3 convolution of its own, then numbers for each cell."""

    def __init__(self, inside: int, width: int, out: int) -> None:
        super().__init__()
        self.conv = ConvNorm(inside, width)
        self.out = nn.Conv2d(width, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N C H W -> N out H W."""
        return self.out(F.relu(self.conv(x)))


class Detector(nn.Module):
    """Raw heads on a grid of stride 4; nothing is decoded in the graph."""

    def __init__(self, classes: int, widths: tuple[int, int, int, int], neck: int) -> None:
        super().__init__()
        stem, fine, middle, coarse = widths
        self.stem = ConvNorm(3, stem, stride=2)
        self.fine = Stage(stem, fine, 1)
        self.middle = Stage(fine, middle, 2)
        self.coarse = Stage(middle, coarse, 1)
        self.from_coarse = ConvNorm(coarse, neck, kernel=1)
        self.from_middle = ConvNorm(middle, neck, kernel=1)
        self.from_fine = ConvNorm(fine, neck, kernel=1)
        self.heat = DenseHead(neck, neck, classes)
        self.box = DenseHead(neck, neck, 4)
        # Nearly all cells are background: starting there keeps the first steps calm (RetinaNet).
        nn.init.constant_(self.heat.out.bias, math.log(0.01 / 0.99))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """N 3 H W -> heat maps N classes H/4 W/4 and box distances N 4 H/4 W/4, both raw."""
        fine = self.fine(F.relu(self.stem(images)))
        middle = self.middle(fine)
        coarse = self.from_coarse(self.coarse(middle))
        # By size, because a stride of 2 rounds odd sides up.
        up = F.interpolate(coarse, size=middle.shape[-2:])
        up = F.interpolate(F.relu(self.from_middle(middle) + up), size=fine.shape[-2:])
        fused = F.relu(self.from_fine(fine) + up)
        return self.heat(fused), self.box(fused)


def detector(classes: int = 3) -> Detector:
    """0.6 million parameters, for 3 x 120 x 160 images."""
    return Detector(classes, (16, 32, 64, 128), neck=48)
