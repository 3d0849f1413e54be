"""Networks of the literature that torchvision does not have, and a small one for a first try."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn


class PaddedShortcut(nn.Module):
    """ResNet's option A: every second pixel, and zero channels before and after. No parameters."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before = before
        self.after = after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N C H W -> N before+C+after H/2 W/2."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))

    def cut_literals(self, values: Mapping[tuple[str, int | None], int]) -> None:
        """Take over new pad amounts; Pad lists N C H W before, then N C H W after.

        See hwprune.network.cut_module.CutsLiterals.
        """
        places: dict[tuple[str, int | None], str] = {("Pad", 1): "before", ("Pad", 5): "after"}
        for place, value in values.items():
            setattr(self, places[place], value)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and an identity shortcut, padded where the width doubles."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        pad = (out - inside) // 2
        self.shortcut: nn.Module = nn.Identity() if stride == 1 else PaddedShortcut(pad, pad)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N C H W -> N C' H' W'."""
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class CifarResNet(nn.Module):
    """He et al. 2015, section 4.2: 6n+2 layers for 32x32 images, option-A shortcuts.

    State-dict keys are those of github.com/akamaster/pytorch_resnet_cifar10: its checkpoints load
    once their `module.` prefix is taken off.
    """

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, 1)
        self.layer2 = _stage(16, 32, blocks, 2)
        self.layer3 = _stage(32, 64, blocks, 2)
        self.linear = nn.Linear(64, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N 3 32 32 -> N classes."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        out = F.adaptive_avg_pool2d(out, 1).flatten(1)
        return self.linear(out)


def _stage(inside: int, out: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [BasicBlock(out, out, 1) for _ in range(blocks - 1)]
    return nn.Sequential(BasicBlock(inside, out, stride), *rest)


def cifar_resnet20(classes: int = 10) -> CifarResNet:
    """0.27 M parameters."""
    return CifarResNet(3, classes)


def cifar_resnet32(classes: int = 10) -> CifarResNet:
    """0.46 M parameters."""
    return CifarResNet(5, classes)


def cifar_resnet44(classes: int = 10) -> CifarResNet:
    """0.66 M parameters."""
    return CifarResNet(7, classes)


def cifar_resnet56(classes: int = 10) -> CifarResNet:
    """0.85 M parameters."""
    return CifarResNet(9, classes)


def cifar_resnet110(classes: int = 10) -> CifarResNet:
    """1.7 M parameters."""
    return CifarResNet(18, classes)


class WideBlock(BasicBlock):
    """A BasicBlock with a 1x1 convolution for a shortcut where the width doubles."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__(inside, out, stride)
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )


class CifarResNet18(nn.Module):
    """ResNet-18 as CIFAR papers have it: a 3x3 first convolution, no pooling before the end."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        blocks: list[nn.Module] = []
        for inside, out, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
            blocks += [WideBlock(inside, out, stride), WideBlock(out, out, 1)]
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N 3 32 32 -> N classes."""
        out = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.linear(F.adaptive_avg_pool2d(out, 1).flatten(1))


def cifar_resnet18(classes: int = 10) -> CifarResNet18:
    """11.2 M parameters."""
    return CifarResNet18(classes)


class CifarVgg(nn.Module):
    """VGG-16 with BatchNorm for 32x32 images and one linear layer (Li et al. 2017)."""

    # Output channels by convolution; 0 is a 2x2 max pooling.
    _LAYOUT = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 3
        for out in self._LAYOUT:
            if out == 0:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(inside, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            inside = out
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(inside, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N 3 32 32 -> N classes."""
        return self.classifier(self.features(x).flatten(1))


def cifar_vgg16_bn(classes: int = 10) -> CifarVgg:
    """14.7 M parameters."""
    return CifarVgg(classes)


class DigitsCnn(nn.Module):
    """Seven convolutions for 8x8 images, four of them in residual blocks, so that cuts couple."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 24, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.conv2 = nn.Conv2d(24, 48, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(48)
        self.block1 = BasicBlock(48, 48, 1)
        self.block2 = BasicBlock(48, 48, 1)
        self.conv3 = nn.Conv2d(48, 64, 3, padding=1, stride=2, bias=False)
        self.bn3 = nn.BatchNorm2d(64)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N 1 8 8 -> N classes."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.block2(self.block1(F.relu(self.bn2(self.conv2(out)))))
        out = F.relu(self.bn3(self.conv3(out)))
        out = F.adaptive_avg_pool2d(out, 1).flatten(1)
        return self.linear(out)


def digits_cnn(classes: int = 10) -> DigitsCnn:
    """About 122 thousand parameters, for 1x8x8 images."""
    return DigitsCnn(classes)
