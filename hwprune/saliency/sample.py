"""What criteria read: training items as they are, in batches, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from hwprune.errors import DataError
from hwprune.saliency.registry import Subject
from hwprune.task.items import Inputs, as_inputs, first_items
from hwprune.task.task import Task


def task_of(subject: Subject) -> Task:
    """The subject's task.

    Raises:
        DataError: it has none.
    """
    if subject.task is None:
        raise DataError("there are no inputs to look at", next_step="give data, or a task")
    return subject.task


def batches(subject: Subject, count: int, size: int) -> Iterator[Inputs]:
    """Inputs in batches; `count` items in all, or as many as the training part has.

    They come in the part's own order, so every criterion sees the same.

    Raises:
        DataError: the subject has no task.
    """
    # Training items in a fixed order, the ones that re-calibrate BatchNorm too.
    given = task_of(subject).inputs("calibration", count)
    subject.progress.begin(f"{subject.stage}, inputs", count)
    rest: list[torch.Tensor] = []
    for inputs in first_items(given, count):
        # What the last batch left over goes first.
        rest = [torch.cat(pair) for pair in zip(rest, inputs, strict=True)] if rest else [*inputs]
        while len(rest[0]) >= size:
            yield tuple(values[:size] for values in rest)
            rest = [values[size:] for values in rest]
            subject.progress.advance(size)
    if rest and len(rest[0]):
        yield tuple(rest)
        subject.progress.advance(len(rest[0]))


def taught(subject: Subject, count: int, size: int) -> Iterator[tuple[Inputs, Any, int]]:
    """Inputs with targets, and how many items a batch has; about `count` in all.

    Raises:
        DataError: the task has no targets, or no loss.
    """
    task = task_of(subject)
    # For its error, before any item is fetched.
    loss_of(subject)
    assert task.batches is not None
    subject.progress.begin(f"{subject.stage}, inputs", count)
    for given, targets in task.batches("calibration", size):
        inputs = as_inputs(given)
        yield inputs, targets, len(inputs[0])
        subject.progress.advance(len(inputs[0]))
        count -= len(inputs[0])
        if count <= 0:
            return


def loss_of(subject: Subject) -> Callable[[Any, Any], torch.Tensor]:
    """The task's loss, a mean over items.

    Raises:
        DataError: the task has no targets, or no loss.
    """
    task = task_of(subject)
    if task.loss is None or task.batches is None:
        raise DataError(
            "this criterion looks at the loss, and the task has none",
            given=f"task '{task.name}'",
            possible="a task with loss and batches, or a criterion such as l1, taylor, fpgm",
        )
    return task.loss
