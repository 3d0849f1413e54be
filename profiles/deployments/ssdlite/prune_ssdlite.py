"""Prunes torchvision's SSDlite by a score and a training of one's own; its post-processing stays.

Weights begin random and images are generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from rectangles import COLOURS, DATA, SIDE, batches
from torch import nn, optim
from torchmetrics.detection import MeanAveragePrecision  # needs pycocotools
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

import hwprune

EPOCHS, LR = 12, 3e-3
DETECTOR = ssdlite320_mobilenet_v3_large(
    weights=None,
    weights_backbone=None,
    num_classes=1 + len(COLOURS),
    detections_per_img=100,  # as many as mAP looks at
    norm_layer=nn.BatchNorm2d,  # SSDlite's own takes thousands of steps to know its statistics
)
DETECTOR.transform.fixed_size = (SIDE, SIDE)


@torch.inference_mode()
def score(run: Any, part: str) -> float:
    """COCO's mAP of the whole detector around `run`."""
    detector, metric = hwprune.detector_with(DETECTOR, run), MeanAveragePrecision()
    for images, targets in batches(part):
        metric.update(detector(images), targets)
    return float(metric.compute()["map"])


def train(module: nn.Module) -> None:
    """Train in place by the detector's own losses."""
    detector = hwprune.detector_with(DETECTOR, module).train()
    optimizer = optim.AdamW(detector.parameters(), LR)
    rate = optim.lr_scheduler.OneCycleLR(optimizer, LR, EPOCHS * len(batches("train")))
    for _ in range(EPOCHS):
        for images, targets in batches("train"):
            optimizer.zero_grad()
            sum(detector(images, targets).values()).backward()
            optimizer.step()
            rate.step()


def inputs(part: str, count: int) -> Sequence[torch.Tensor]:
    """The first images of a part as the detector's transform prepares them: N 3 SIDE SIDE."""
    return DETECTOR.transform([image for image, _ in DATA[part][:count]])[0].tensors.split(16)


if __name__ == "__main__":
    part = hwprune.OneStage(DETECTOR)  # what is pruned: images N 3 H W to raw scores and boxes
    train(part)
    how: dict[str, Any] = {"score": score, "train": train, "inputs": inputs, "out": "runs/ssdlite"}
    how["search"] = {"evaluations": 40}  # by each of five methods; 200, unless said
    pruned = hwprune.prune(part, inputs("train", 2)[0], budget={"latency_ms": "60 %"}, **how)
    print(f"mAP {score(pruned.module, 'test'):.3f}, budget kept: {pruned.passed}", pruned.folder)
    detector = hwprune.detector_with(DETECTOR, pruned.module)  # what is deployed
