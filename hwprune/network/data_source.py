"""Where data comes from: scikit-learn's digits, torchvision's small sets, or the user's code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwprune.errors import DataError
from hwprune.network.split import Split, as_split, stratified_order
from hwprune.network.user_code import load_function

TORCHVISION = ("CIFAR10", "CIFAR100", "MNIST", "FashionMNIST")
"""Data sets that are whole arrays in memory; larger ones come by `package.module:function`."""
POSSIBLE = (
    "sklearn:digits, "
    + ", ".join(f"torchvision:{name}" for name in TORCHVISION)
    + ", or package.module:function"
)


def read_source(source: str, root: str) -> tuple[Split, Split]:
    """The training part and the test part of the data that `source` names.

    Args:
        source: `sklearn:digits`, `torchvision:NAME`, `package.module:function` or
            `path/to/file.py:function`; a function takes nothing and returns (train, test), each a
            torch Dataset of (image, label) or a pair (images N C H W, labels N).
        root: folder of downloaded data; `~` and environment variables are expanded.

    Raises:
        DataError: the source is unknown, or its files are neither there nor to be had.
    """
    kind, _, name = source.partition(":")
    if source == "sklearn:digits":
        return _digits()
    if kind == "torchvision" and name in TORCHVISION:
        return _torchvision(name, root)
    if not name or kind in ("sklearn", "torchvision"):
        raise DataError("unknown data", given=source, possible=POSSIBLE)
    return _from_function(source)


def _digits() -> tuple[Split, Split]:
    """1,797 scans of handwritten digits, 1x8x8 in 0..1; a fixed fifth of them is the test part."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images / digits.images.max()).astype(np.float32)
    whole = as_split(images, digits.target)
    # Not by the deployment's seed: one run's test images would be another run's training images.
    order = stratified_order(whole.labels, seed=0)
    return whole.take(order[360:]), whole.take(order[:360])


def _torchvision(name: str, root: str) -> tuple[Split, Split]:
    import torchvision

    dataset = _without_class_names(getattr(torchvision.datasets, name))
    home = Path(os.path.expandvars(os.path.expanduser(root)))
    given = os.environ.get("HWPRUNE_DATA", "")
    places = [home, *([Path(given).expanduser()] if given else [])]
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
) -> tuple[Split, Split] | None:
    try:
        parts = [dataset(root=str(place), train=t, download=download) for t in (True, False)]
    except Exception as error:  # torchvision raises RuntimeError, URLError, OSError, …
        if problem is not None:
            problem.append(f"{type(error).__name__}: {error}".splitlines()[0])
        return None
    train, test = (_whole(part.data, part.targets) for part in parts)
    return train, test


def _whole(data: Any, targets: Any) -> Split:
    pixels = torch.as_tensor(data)
    # torchvision keeps colour images as N H W C and grey ones as N H W.
    return as_split(pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels, targets)


def _from_function(source: str) -> tuple[Split, Split]:
    function = load_function(source, DataError, what="data")
    parts = function()
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        raise DataError(
            f"{source} must return two parts, train and test", given=type(parts).__name__
        )
    return _part(parts[0], source), _part(parts[1], source)


def _part(part: Any, source: str) -> Split:
    is_pair = isinstance(part, tuple | list) and len(part) == 2 and hasattr(part[0], "shape")
    if is_pair and part[0].ndim >= 3:
        return as_split(part[0], part[1])
    try:
        items = [part[index] for index in range(len(part))]
        images = torch.stack([torch.as_tensor(np.asarray(image)) for image, _ in items])
        return as_split(images, [int(label) for _, label in items])
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"a part that {source} returned cannot be read",
            given=f"{type(part).__name__}: {error}",
            possible="a Dataset of (image C H W, label) with images of one shape, "
            "or (images N C H W, labels N)",
        ) from None
