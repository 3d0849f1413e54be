"""Multi-label classification: any number of labels an item, each a yes or a no."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F

from hwprune.metric import Metric
from hwprune.task.data import Data
from hwprune.task.fit import check_shape
from hwprune.task.supervised import supervised
from hwprune.task.task import Remake, Task


def multilabel(
    data: Data, *, calibration: int = 0, remake: Callable[[], Remake] | None = None
) -> Task:
    """A network of one output N x labels, yes above 0; its metric is F1, the mean over items."""
    return supervised(
        data,
        name="multilabel",
        metric=Metric(name="F1"),
        rate=_rate,
        loss=lambda outputs, targets: F.binary_cross_entropy_with_logits(
            outputs.float(), targets.float()
        ),
        calibration=calibration,
        check=check_shape(data.targets, "one score for each label"),
        output_kinds=("values",),
        remake=remake,
    )


def _rate(outputs: torch.Tensor, targets: torch.Tensor) -> Mapping[str, torch.Tensor]:
    said, wanted = outputs.cpu() > 0, targets.cpu() > 0
    right = (said & wanted).sum(1)
    together = said.sum(1) + wanted.sum(1)
    f1 = torch.where(together > 0, 2 * right / together.clamp_min(1), torch.ones(()))
    return {"F1": f1, "labels right": (said == wanted).float().mean(1)}
