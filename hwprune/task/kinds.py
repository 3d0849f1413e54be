"""The kinds of task that data with targets has, and such a task as arrays for other processes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from hwprune.task.classification import classification
from hwprune.task.data import Data
from hwprune.task.multilabel import multilabel
from hwprune.task.regression import regression
from hwprune.task.segmentation import segmentation
from hwprune.task.task import PARTS, Remake, Task
from hwprune.task.tensors import Normalisation, Tensors

OF_DATA: Mapping[str, Callable[..., Task]] = {
    "classification": classification,
    "multilabel": multilabel,
    "regression": regression,
    "segmentation": segmentation,
}


def arrays_of(kind: str, data: Data, calibration: int) -> Remake:
    """The parts as arrays, without the test part: nothing in another process can look at it."""
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
