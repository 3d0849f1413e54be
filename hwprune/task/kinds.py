"""The kinds of task that data with targets has, and such a task as arrays for other processes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from hwprune.errors import NetworkError
from hwprune.metric import Metric
from hwprune.task.data import Data
from hwprune.task.segmentation import segmentation
from hwprune.task.supervised import supervised
from hwprune.task.task import PARTS, Remake, Task
from hwprune.task.tensors import Normalisation, Tensors


def classification(
    data: Data, *, calibration: int = 0, remake: Callable[[], Remake] | None = None
) -> Task:
    """A network of one output N x classes; its metric is the share of items that are right."""
    classes = data.classes

    def check(outputs: object) -> None:
        """Compare the output with N x classes."""
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


def multilabel(
    data: Data, *, calibration: int = 0, remake: Callable[[], Remake] | None = None
) -> Task:
    """A network of one output N x labels, yes above 0; its metric is F1, the mean over items."""
    return supervised(
        data,
        name="multilabel",
        metric=Metric(name="F1"),
        rate=_f1,
        loss=lambda outputs, targets: F.binary_cross_entropy_with_logits(
            outputs.float(), targets.float()
        ),
        calibration=calibration,
        check=_check_shape(data.targets, "one score for each label"),
        output_kinds=("values",),
        remake=remake,
    )


def _f1(outputs: torch.Tensor, targets: torch.Tensor) -> Mapping[str, torch.Tensor]:
    said, wanted = outputs.cpu() > 0, targets.cpu() > 0
    right = (said & wanted).sum(1)
    together = said.sum(1) + wanted.sum(1)
    # An item without labels, of which none is named, is right.
    f1 = torch.where(together > 0, 2 * right / together.clamp_min(1), torch.ones(()))
    return {"F1": f1, "labels right": (said == wanted).float().mean(1)}


def regression(
    data: Data, *, calibration: int = 0, remake: Callable[[], Remake] | None = None
) -> Task:
    """A network whose output is shaped as its targets; its metric is the mean absolute error."""
    return supervised(
        data,
        name="regression",
        metric=Metric(name="mean error", higher_is_better=False, is_share=False),
        rate=_absolute_error,
        loss=lambda outputs, targets: (_shaped_like(outputs, targets) - targets).square().mean(),
        calibration=calibration,
        check=_check_shape(data.targets, "one number for each of the targets'"),
        output_kinds=("values",),
        remake=remake,
    )


def _absolute_error(outputs: torch.Tensor, targets: torch.Tensor) -> Mapping[str, torch.Tensor]:
    gap = _shaped_like(outputs.cpu(), targets) - targets.cpu()
    error = gap.abs().reshape(len(gap), -1).mean(1)
    return {"mean error": error}


def _shaped_like(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Outputs N 1 … and targets N … are the same numbers."""
    return outputs.float().reshape(targets.shape)


def _check_shape(targets: torch.Tensor, possible: str) -> Callable[[object], None]:
    """A check that outputs have as many numbers an item as targets N … have."""
    wanted = prod(targets.shape[1:])

    def check(outputs: object) -> None:
        """Compare the numbers an item of outputs and targets."""
        shape = list(getattr(outputs, "shape", ()))
        if not shape or prod(shape[1:]) != wanted:
            raise NetworkError(
                "the network's output does not fit the data's targets",
                given=f"output {shape or type(outputs).__name__}, "
                f"targets {['N', *targets.shape[1:]]}",
                possible=possible,
            )

    return check


OF_DATA: Mapping[str, Callable[..., Task]] = {
    "classification": classification,
    "multilabel": multilabel,
    "regression": regression,
    "segmentation": segmentation,
}


def arrays_of(kind: str, data: Data, calibration: int) -> Remake:
    """The parts as arrays, without the test part: no other process can score on it."""
    parts: dict[str, Any] = {}
    for name in ("train", "heldout", "final"):
        items = data.part(name)
        assert isinstance(items, Tensors)
        parts[name] = {
            "inputs": [values.numpy() for values in items.inputs],
            "targets": items.targets.numpy(),
            "mean": items.normalise.mean,
            "std": items.normalise.std,
            "augment": items.augment,
        }
    arguments = {
        "kind": kind,
        "parts": parts,
        "calibration": calibration,
        "name": data.name,
        "content_hash": data.content_hash,
        "classes": data.classes,
    }
    return Remake(factory="hwprune.task.kinds:of_arrays", arguments=arguments)


def of_arrays(
    kind: str,
    parts: Mapping[str, Mapping[str, Any]],
    calibration: int,
    name: str,
    content_hash: str,
    classes: int | None,
) -> Task:
    """A task of a kind from plain arrays."""
    items = {
        part: Tensors(
            inputs=tuple(_tensor(values) for values in entry["inputs"]),
            targets=_tensor(entry["targets"]),
            normalise=Normalisation(mean=tuple(entry["mean"]), std=tuple(entry["std"])),
            augment=entry["augment"],
        )
        for part, entry in parts.items()
    }
    items["calibration"] = items["train"]
    data = Data(
        name=name,
        parts={part: items[part] for part in PARTS if part in items},
        content_hash=content_hash,
        classes=classes,
    )
    return OF_DATA[kind](data, calibration=calibration)


def _tensor(array: np.ndarray) -> torch.Tensor:
    with warnings.catch_warnings():
        # Memory that processes share is read-only; nothing here writes to it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
