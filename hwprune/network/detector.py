"""The part of a torchvision detector that is cut: backbone and heads; post-processing stays whole.

Boxes are decoded, sorted and dropped by code that depends on what the network saw, which no graph
of fixed shape holds. What comes before is a network like others, with several outputs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

_POOLED = 2
"""Regions in the example of a two-stage detector's second input."""


class OneStage(nn.Module):
    """Backbone and head of SSD, SSDlite, RetinaNet and FCOS: images to raw scores and boxes.

    Weights have the names they have in the detector, so a cut of this is a cut of that.
    """

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.backbone = detector.backbone
        self.head = detector.head

    def forward(self, images: torch.Tensor) -> Any:
        """Images N 3 H W, normalised and of the detector's size."""
        return self.head(self.levels(images))

    def levels(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The feature maps that the head takes, finest first."""
        return _levels(self.backbone(images))


class TwoStage(nn.Module):
    """Backbone, proposal head and box head of Faster R-CNN and its kin.

    Which regions are pooled depends on the image, so pooled regions are a second input. The
    pyramid they are pooled from is an output, and stays whole.
    """

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.backbone = detector.backbone
        self.rpn = nn.ModuleDict({"head": detector.rpn.head})
        heads = detector.roi_heads
        self.roi_heads = nn.ModuleDict(
            {"box_head": heads.box_head, "box_predictor": heads.box_predictor}
        )

    def forward(self, images: torch.Tensor, pooled: torch.Tensor) -> Any:
        """Images N 3 H W; pooled regions R C h w."""
        levels = _levels(self.backbone(images))
        scores, boxes = self.rpn["head"](levels)
        found = self.roi_heads["box_predictor"](self.roi_heads["box_head"](pooled))
        return levels, scores, boxes, found


def cuttable_part(module: nn.Module) -> nn.Module:
    """The module itself, or of a torchvision detector what comes before post-processing."""
    if isinstance(module, _one_stage()):
        return OneStage(module)
    if isinstance(module, _two_stage()):
        return TwoStage(module)
    return module


def example_of_part(part: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Inputs of a cuttable part: those given, and pooled regions where it takes those."""
    if not isinstance(part, TwoStage) or len(inputs) > 1:
        return inputs
    (images,) = inputs
    with torch.no_grad():
        channels = _levels(part.backbone(images[:1]))[0].shape[1]
    size = _pooled_size(part)
    return images, torch.zeros(_POOLED, channels, size, size)


def _pooled_size(part: TwoStage) -> int:
    """Height and width of pooled regions: 7 in torchvision's detectors."""
    first = getattr(part.roi_heads["box_head"], "fc6", None)
    if isinstance(first, nn.Linear):
        channels = part.backbone.out_channels
        # fc6 reads a flattened C h w with h = w.
        return int((first.in_features // channels) ** 0.5)
    return 7


def _levels(features: Any) -> list[torch.Tensor]:
    if isinstance(features, Mapping):
        return list(features.values())
    return [features]


def _one_stage() -> tuple[type[nn.Module], ...]:
    if not _imported():
        return ()
    from torchvision.models import detection
    from torchvision.models.detection.ssd import SSD

    return (SSD, detection.RetinaNet, detection.FCOS)


def _two_stage() -> tuple[type[nn.Module], ...]:
    if not _imported():
        return ()
    from torchvision.models import detection

    return (detection.FasterRCNN,)


def _imported() -> bool:
    """A module is none of torchvision's where nobody imported that, which takes a second."""
    return "torchvision" in sys.modules
