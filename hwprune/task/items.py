"""Items: what one part of a data set holds, inputs with their targets, given in batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from hwprune.errors import DataError

if TYPE_CHECKING:
    from hwprune.task.task import Part, Task

Inputs = tuple[torch.Tensor, ...]
"""One tensor for each input of the network, N first."""
Pair = tuple[Inputs, Any]
"""Inputs and targets of a batch."""
AT_ONCE = 125
"""Items a pass at most: fastest on a core with 1 MB of second-level cache; see bench_scorer."""
LEAST_AT_ONCE = 8
VALUES_AT_ONCE = 400_000
"""Of inputs a pass: those of 125 CIFAR images."""
CALIBRATION = 250
"""Items that re-calibrate BatchNorm, unless they are large or the task says how many."""
LEAST_CALIBRATION = 64
CALIBRATION_VALUES = 5_000_000
"""Of inputs that re-calibrate: large images have many pixels each; see bench_calibration."""


class Items(Protocol):
    """In memory or streamed."""

    def __len__(self) -> int:
        """How many there are."""

    def take(self, indices: np.ndarray | Sequence[int]) -> Items:
        """The items at `indices`, in that order."""

    def pairs(self, size: int, *, training: bool = False) -> Iterable[Pair]:
        """Batches of `size`, in order; for training shuffled, augmented, and all full."""


def as_inputs(given: Any) -> Inputs:
    """A batch of inputs as a tuple, whether it came as one tensor or as several."""
    if isinstance(given, tuple | list):
        return tuple(torch.as_tensor(one) for one in given)
    return (torch.as_tensor(given),)


def first_items(batches: Iterable[Any], count: int | None) -> Iterable[Inputs]:
    """Batches of inputs until `count` items were given, the last one cut short; None: all."""
    left = count
    for batch in batches:
        inputs = as_inputs(batch)
        if left is None:
            yield inputs
            continue
        if left <= 0:
            return
        yield tuple(values[:left] for values in inputs)
        left -= len(inputs[0])
        # Here, before the next batch is asked for: a loader would decode it in vain.
        if left <= 0:
            return


def inputs_of(task: Task, part: Part, count: int) -> Iterable[Inputs]:
    """The first `count` inputs of a task's part, or as many as there are."""
    return first_items(task.inputs(part, count), count)


def at_once(example: Inputs) -> int:
    """Items a pass: fewer where they are large, but 8. `example`: a batch of any size."""
    return max(LEAST_AT_ONCE, min(AT_ONCE, VALUES_AT_ONCE // _values(example)))


def calibration_of(task: Task) -> Iterable[Inputs]:
    """The inputs that re-calibrate BatchNorm: as many as the task says, or 250, fewer where large.

    They come in the task's own batches.
    """
    if task.calibration:
        return inputs_of(task, "calibration", task.calibration)
    few = CALIBRATION_VALUES // _values(example_of(task))
    return inputs_of(task, "calibration", max(LEAST_CALIBRATION, min(CALIBRATION, few)))


def _values(inputs: Inputs) -> int:
    """Numbers an item."""
    return max(1, sum(values[:1].numel() for values in inputs))


def count_of(share: float, items: int) -> int:
    """How many of a part's items its first `share` (0..1) has; one at least."""
    return max(1, math.ceil(share * items))


def stratified_order(labels: torch.Tensor, seed: int) -> np.ndarray:
    """Indices in an order of which every prefix has about the classes' shares of the whole.

    Labels that are no classes (one whole number an item) are shuffled.
    """
    rng = np.random.default_rng(seed)
    if labels.ndim != 1 or labels.is_floating_point():
        return rng.permutation(len(labels))
    classes = labels.numpy()
    place = np.empty(len(classes))
    for value in np.unique(classes):
        members = np.flatnonzero(classes == value)
        # Each class is spread evenly over 0..1, shuffled inside and shifted at random.
        place[rng.permutation(members)] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(place, kind="stable")


def example_of(task: Task) -> Inputs:
    """The first input of a task as a batch of 1.

    Raises:
        DataError: there is none.
    """
    for inputs in inputs_of(task, "calibration", 1):
        return inputs
    raise DataError(
        f"the task '{task.name}' gives no inputs", given="part 'calibration', 1 of them"
    )
