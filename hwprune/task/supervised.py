"""Tasks with targets: every item is rated against its own, and the score is the mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from hwprune.metric import Metric
from hwprune.task.data import Data
from hwprune.task.items import at_once, count_of
from hwprune.task.score import Score
from hwprune.task.task import OutputKind, Part, Remake, Run, Task

Rate = Callable[[Any, Any], Mapping[str, torch.Tensor]]
"""Outputs and targets of a batch to numbers N by name, the metric's first."""


def supervised(
    data: Data,
    *,
    name: str,
    metric: Metric,
    rate: Rate,
    loss: Callable[[Any, Any], torch.Tensor],
    calibration: int = 0,
    check: Callable[[Any], None] | None = None,
    output_kinds: tuple[OutputKind, ...] = (),
    bf16: bool = False,
    classes: int | None = None,
    remake: Callable[[], Remake] | None = None,
) -> Task:
    """A task of data, a rating of items, and a loss.

    Args:
        data: inputs with targets.
        rate: see `Rate`; the score is the mean of its first numbers over all items.
        loss: of outputs and targets of a batch.
    """
    size = at_once(data.example)

    def score(run: Run, part: Part, share: float = 1.0) -> Score:
        """The mean rating over the first `share` of a part."""
        items = data.part(part)
        count = count_of(share, len(items))
        found: dict[str, list[torch.Tensor]] = {}
        for inputs, targets in data.pairs(part, size):
            left = min(len(inputs[0]), count)
            outputs = run(*(values[:left] for values in inputs))
            for key, numbers in rate(outputs, targets[:left]).items():
                found.setdefault(key, []).append(numbers.double())
            count -= left
            if count <= 0:
                break
        columns = {key: torch.cat(parts).cpu().numpy() for key, parts in found.items()}
        return mean_score(columns, metric)

    return Task(
        name=name,
        score=score,
        inputs=data.inputs,
        metric=metric,
        loss=loss,
        batches=data.pairs,
        calibration=calibration,
        check=check,
        output_kinds=output_kinds,
        bf16=bf16,
        classes=classes,
        identity=f"{name} {data.content_hash}",
        remake=remake,
    )


def mean_score(columns: Mapping[str, np.ndarray], metric: Metric) -> Score:
    """The score whose value is the mean of the first column, N each."""
    means = {key: float(column.mean()) for key, column in columns.items()}
    first = next(iter(columns))
    # Of items higher means better, whatever the metric.
    sign = 1.0 if metric.higher_is_better else -1.0
    return Score(
        value=means.pop(first), others=means, items=(sign * columns[first]).astype(np.float32)
    )
