"""Classification: one class an item, by the largest of the network's scores."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from hwprune.errors import NetworkError
from hwprune.metric import Metric
from hwprune.task.data import Data
from hwprune.task.supervised import supervised
from hwprune.task.task import Remake, Task


def classification(
    data: Data, *, calibration: int = 0, remake: Callable[[], Remake] | None = None
) -> Task:
    """A network of one output N x classes; its metric is the share of items that are right."""
    classes = data.classes

    def check(outputs: object) -> None:
        shape = list(getattr(outputs, "shape", ()))
        if len(shape) != 2 or (classes is not None and shape[1] != classes):
            raise NetworkError(
                "the network's output does not fit the data's classes",
                given=f"output {shape or type(outputs).__name__}, {classes} classes",
                possible=f"one tensor of N x {classes} scores, or another [task] kind",
            )

    return supervised(
        data,
        name="classification",
        metric=Metric(name="accuracy"),
        rate=lambda outputs, targets: {"accuracy": outputs.argmax(1).cpu() == targets.cpu()},
        loss=cross_entropy,
        calibration=calibration,
        check=check,
        output_kinds=("classes",),
        bf16=True,
        classes=classes,
        remake=remake,
    )


def cross_entropy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Of scores N K … and classes N …."""
    return F.cross_entropy(outputs.float(), targets)
