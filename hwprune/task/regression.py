"""Regression: numbers an item, such as key points, an angle or an age."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from hwprune.metric import Metric
from hwprune.task.data import Data
from hwprune.task.fit import check_shape
from hwprune.task.supervised import supervised
from hwprune.task.task import Remake, Task


def regression(
    data: Data, *, calibration: int = 0, remake: Callable[[], Remake] | None = None
) -> Task:
    """A network whose output is shaped as its targets; its metric is the mean absolute error."""
    return supervised(
        data,
        name="regression",
        metric=Metric(name="mean error", higher_is_better=False, is_share=False),
        rate=_rate,
        loss=lambda outputs, targets: (_like(outputs, targets) - targets).square().mean(),
        calibration=calibration,
        check=check_shape(data.targets, "one number for each of the targets'"),
        output_kinds=("values",),
        remake=remake,
    )


def _rate(outputs: torch.Tensor, targets: torch.Tensor) -> Mapping[str, torch.Tensor]:
    gap = _like(outputs.cpu(), targets) - targets.cpu()
    error = gap.abs().reshape(len(gap), -1).mean(1)
    return {"mean error": error}


def _like(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Outputs N 1 … and targets N … are the same numbers."""
    return outputs.float().reshape(targets.shape)
