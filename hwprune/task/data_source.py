"""Where data comes from: scikit-learn's digits, torchvision's sets, folders of images, or code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwprune.data_settings import DataSettings
from hwprune.errors import DataError
from hwprune.task.items import Items, stratified_order
from hwprune.task.streamed import Streamed, folder_of_images
from hwprune.task.tensors import Tensors, as_tensors
from hwprune.user_code import load_function

TORCHVISION = ("CIFAR10", "CIFAR100", "MNIST", "FashionMNIST")
"""Data sets that are whole arrays in memory."""
POSSIBLE = (
    "sklearn:digits, "
    + ", ".join(f"torchvision:{name}" for name in TORCHVISION)
    + ", imagefolder:PATH, or package.module:function"
)
IN_MEMORY_BYTES = 256 << 20
"""A Dataset whose training part takes no more than this is read into memory once: then a batch is
one gather, and augmentation is done for the whole of it."""
Source = tuple[Items, Items, torch.Tensor]
"""Training items, test items, and the targets of the former as far as they are known, N …."""


def read_source(settings: DataSettings) -> Source:
    """The items that the settings' `source` names.

    A function takes nothing and returns (train, test), each a torch Dataset of (inputs, target)
    or a pair (inputs N …, targets N …); the inputs of a network of several are a tuple.

    Raises:
        DataError: the source is unknown, or its files are neither there nor to be had.
    """
    kind, _, name = settings.source.partition(":")
    if settings.source == "sklearn:digits":
        return _with_targets(*_digits())
    if kind == "torchvision" and name in TORCHVISION:
        return _with_targets(*_torchvision(name, settings.root))
    if kind == "imagefolder" and name:
        train, test = folder_of_images(Path(name), settings)
        return train, test, train.known_targets()
    if not name or kind in ("sklearn", "torchvision"):
        raise DataError("unknown data", given=settings.source, possible=POSSIBLE)
    return _from_function(settings)


def _with_targets(train: Tensors, test: Tensors) -> Source:
    return train, test, train.targets


def _digits() -> tuple[Tensors, Tensors]:
    """1,797 scans of handwritten digits, 1x8x8 in 0..1; a fixed fifth of them is the test part."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images / digits.images.max()).astype(np.float32)[:, None]
    whole = as_tensors(images, digits.target)
    # Not by the deployment's seed: one run's test images would be another run's training images.
    order = stratified_order(whole.targets, seed=0)
    return whole.take(order[360:]), whole.take(order[:360])


def _torchvision(name: str, root: str) -> tuple[Tensors, Tensors]:
    import torchvision

    dataset = _without_class_names(getattr(torchvision.datasets, name))
    home = Path(os.path.expandvars(os.path.expanduser(root)))
    given = os.environ.get("HWPRUNE_DATA", "")
    places = [home, *([Path(given).expanduser()] if given else [])]
    # Every folder is looked into before anything is downloaded.
    for place in places:
        if (found := _try(dataset, place, download=False)) is not None:
            return found
    problem: list[str] = []
    if (found := _try(dataset, home, download=True, problem=problem)) is not None:
        return found
    raise DataError(
        f"{name} is not here and cannot be downloaded",
        given=f"looked in {', '.join(map(str, places))}; download: {problem[0]}",
        next_step=f"put torchvision's files of {name} into one of these folders, "
        "or name another with data.root or $HWPRUNE_DATA",
    )


def _without_class_names(dataset: Any) -> Any:
    """CIFAR's class names lie in one more file, which nothing here needs."""
    if not hasattr(dataset, "_load_meta"):
        return dataset
    return type(dataset.__name__, (dataset,), {"_load_meta": lambda self: None})


def _try(
    dataset: Callable[..., Any], place: Path, *, download: bool, problem: list[str] | None = None
) -> tuple[Tensors, Tensors] | None:
    try:
        parts = [dataset(root=str(place), train=t, download=download) for t in (True, False)]
    except Exception as error:  # torchvision raises RuntimeError, URLError, OSError, …
        if problem is not None:
            problem.append(f"{type(error).__name__}: {error}".splitlines()[0])
        return None
    train, test = (_whole(part.data, part.targets) for part in parts)
    return train, test


def _whole(data: Any, targets: Any) -> Tensors:
    pixels = torch.as_tensor(data)
    # torchvision keeps colour images as N H W C and grey ones as N H W.
    return as_tensors(
        pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels.unsqueeze(1), targets
    )


def _from_function(settings: DataSettings) -> Source:
    function = load_function(settings.source, DataError, what="data")
    parts = function()
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        raise DataError(
            f"{settings.source} must return two parts, train and test", given=type(parts).__name__
        )
    train, test = (_part(part, settings) for part in parts)
    held = _in_memory(train)
    looked_at_last = None if held is None else _in_memory(test)
    if held is not None and looked_at_last is not None:
        return held, looked_at_last, held.targets
    # Both or neither: tensors are normalised, and parts have to be alike.
    if isinstance(train, Tensors) or isinstance(test, Tensors):
        raise DataError(
            "one part is arrays, the other a Dataset that is too large for memory",
            given=settings.source,
            possible="two Datasets of (inputs, target)",
        )
    return train, test, train.known_targets()


def _in_memory(items: Tensors | Streamed) -> Tensors | None:
    return items if isinstance(items, Tensors) else items.in_memory(IN_MEMORY_BYTES)


def _part(part: Any, settings: DataSettings) -> Tensors | Streamed:
    if isinstance(part, tuple) and len(part) == 2 and _is_arrays(part[0]):
        return as_tensors(*part)
    try:
        # One item is read here, so that what cannot be read is refused before a run begins.
        _inputs, _target = part[0]
        len(part)
    except (TypeError, ValueError, KeyError, IndexError, NotImplementedError) as error:
        raise DataError(
            f"a part that {settings.source} returned cannot be read",
            given=f"{type(part).__name__}: {error}",
            possible="a Dataset of (inputs, target), or (inputs N …, targets N …)",
        ) from None
    return Streamed(dataset=part, workers=settings.workers)


def _is_arrays(inputs: Any) -> bool:
    several = inputs if isinstance(inputs, tuple) else (inputs,)
    return all(hasattr(one, "shape") and len(one.shape) >= 2 for one in several)
