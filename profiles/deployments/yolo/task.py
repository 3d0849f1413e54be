"""What a task author writes for YOLO11 or YOLOv8 of Ultralytics (AGPL-3.0): no part of hwprune.

Run by ultralytics 8.4.190 from random weights: around PART the detector decodes as before, and
training brought yolo11n's twin from mAP 0 to 0.85. Not run: a GPU, YOLO26's head of two branches.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics import YOLO, cfg, data
from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator
from ultralytics.nn.modules import Detect


class Raw(Detect):
    """The head of what is pruned: it does not decode."""

    def forward(self, maps: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps N C H W of each stride -> raw boxes and scores of all cells."""
        found = self.forward_head(maps, **self.one2many)
        return found["boxes"], found["scores"]


class Around(Detect):
    """The head around a network or a board: it decodes, and losses ask it."""

    def forward_head(self, images: torch.Tensor, **_: Any) -> dict[str, Any]:
        """Images N 3 H W -> what Ultralytics' own head gives before it decodes."""
        (boxes, scores), (height, width) = self.network(images), images.shape[2:]
        # Of the maps, decoding and losses read sizes alone.
        maps = [boxes.new_empty(1, 1, int(height / s), int(width / s)) for s in self.stride]
        return {"boxes": boxes, "scores": scores, "feats": maps}


ARGS: dict[str, Any] = {
    "task": "detect",
    "model": "yolo11n.pt",
    "data": "coco8.yaml",
    "imgsz": 640,
}
DETECTOR, DATA = YOLO(ARGS["model"]).model, data.utils.check_det_dataset(ARGS["data"])
PART = copy.deepcopy(DETECTOR)  # hwprune.prune(PART, torch.zeros(1, 3, 640, 640), score=score, …)
PART.model[-1].__class__ = Raw


def detector_with(network: Callable[[torch.Tensor], Any]) -> nn.Module:
    """The whole detector around a network of images N 3 H W -> raw boxes and scores."""
    whole = copy.deepcopy(DETECTOR)
    head = whole.model[-1]
    head.__class__, head.network, head.f, head.i = Around, network, -1, 0
    # These convolutions are in the network already.
    head.cv2 = head.cv3 = nn.ModuleList()
    whole.model, whole.save = nn.Sequential(head), []
    return whole


def inputs(part: str, count: int) -> Iterator[torch.Tensor]:
    """The first `count` images, 1 3 H W each; of every part those that train."""
    images = data.build_yolo_dataset(cfg.get_cfg(overrides=ARGS), DATA["train"], 1, DATA, "val")
    return (images[i]["img"][None].float() / 255 for i in range(min(count, len(images))))


def score(run: Callable[[torch.Tensor], Any], part: str) -> float:
    """COCO's mAP on the validation images, or on those of the test part."""
    validator = DetectionValidator(args=ARGS | {"split": "test" if part == "test" else "val"})
    return validator(model=detector_with(run))["metrics/mAP50-95(B)"]


def train(module: nn.Module, teacher: nn.Module, recipe: Any, folder: Path) -> None:
    """Train the module in place by Ultralytics' own trainer, which keeps its files in `folder`."""
    trainer = DetectionTrainer(overrides=ARGS | {"epochs": recipe.epochs, "project": str(folder)})
    trainer.model, trainer.save_model = detector_with(module), lambda: False  # it would pickle
    trainer.build_dataset = lambda path, mode, batch: data.build_yolo_dataset(
        trainer.args, path, batch, DATA, mode
    )  # all images of one size, also to validate
    trainer.train()
    module.load_state_dict(trainer.ema.ema.model[0].network.state_dict())
