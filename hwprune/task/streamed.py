"""Items of a torch Dataset, read as they are wanted: a set may be larger than memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset
from torch.utils.data import default_collate as collate

from hwprune.data_settings import DataSettings
from hwprune.errors import DataError
from hwprune.task.items import Pair, as_inputs
from hwprune.task.tensors import Tensors, as_tensors, plain_targets

KEPT_BYTES = 384 << 20
"""Of a part's batches, of all sizes together, that are kept decoded for the next pass: candidates
are scored on the same ones."""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Streamed:
    """A Dataset of (inputs, target); targets that are no tensors or numbers come as a list."""

    dataset: Any
    augmented: Any = None
    """The same items as training wants them; None: no different."""
    indices: np.ndarray | None = None
    """Which of them, in order; None: all."""
    workers: int = 0
    targets: torch.Tensor | None = None
    """Of the whole Dataset, where they are known without reading it."""
    _kept: dict[int, list[Pair]] = field(default_factory=dict, repr=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    def __len__(self) -> int:
        return len(self.dataset) if self.indices is None else len(self.indices)

    def take(self, indices: np.ndarray | Sequence[int]) -> Streamed:
        """The items at `indices`, in that order."""
        own = np.arange(len(self)) if self.indices is None else self.indices
        # Batches and lock of its own: those of `self` are of other items.
        return replace(self, indices=own[np.asarray(indices)], _kept={}, _lock=threading.Lock())

    def pairs(self, size: int, *, training: bool = False) -> Iterable[Pair]:
        """Batches of inputs and targets; for training shuffled, augmented, and all full."""
        if training:
            return self._loader(size, training=True)
        return _Kept(self, size)

    def known_targets(self) -> torch.Tensor:
        """Targets N … as far as they are known; else zeros, which stratify nothing."""
        found = self.targets if self.targets is not None else _told(self.dataset)
        if found is None:
            return torch.zeros(len(self), 1)
        found = plain_targets(found)
        return found if self.indices is None else found[torch.from_numpy(self.indices)]

    def in_memory(self, limit_bytes: int) -> Tensors | None:
        """All items as tensors; None where they are larger, or of different shapes."""
        inputs, target = self.dataset[0]
        if not isinstance(target, torch.Tensor | np.ndarray | int | float | np.generic):
            return None
        # By the first item; where others differ in shape, stacking them fails below.
        size = sum(value.nbytes for value in (np.asarray(v) for v in _several(inputs)))
        if size * len(self) > limit_bytes:
            return None
        rows = [self.dataset[index] for index in range(len(self))]
        try:
            columns = zip(*(_several(inputs) for inputs, _ in rows), strict=True)
            stacked = tuple(np.stack([np.asarray(v) for v in column]) for column in columns)
            targets = np.stack([np.asarray(target) for _, target in rows])
        except ValueError:
            return None
        return as_tensors(stacked, targets)

    def _loader(self, size: int, *, training: bool) -> DataLoader[Any]:
        chosen = self.augmented if training and self.augmented is not None else self.dataset
        size = min(size, len(self))
        return DataLoader(
            chosen if self.indices is None else Subset(chosen, self.indices.tolist()),
            batch_size=size,
            shuffle=training,
            # A smaller last batch would give BatchNorm poor sums.
            drop_last=training,
            num_workers=self.workers,
            collate_fn=_pair,
        )


class _Kept:
    """One pass in order; its first batches stay decoded for the next pass."""

    def __init__(self, items: Streamed, size: int) -> None:
        self._items = items
        self._size = max(1, min(size, len(items)))

    def __len__(self) -> int:
        return -(-len(self._items) // self._size)

    def __iter__(self) -> Iterator[Pair]:
        with self._items._lock:
            kept = self._items._kept.setdefault(self._size, [])
        # A copy, because another pass may add to it meanwhile.
        yield from list(kept)
        done = len(kept) * self._size
        if done >= len(self._items):
            return
        with self._items._lock:
            room = KEPT_BYTES - sum(_bytes(p) for ps in self._items._kept.values() for p in ps)
        rest = self._items.take(np.arange(done, len(self._items)))
        for number, pair in enumerate(
            rest._loader(self._size, training=False), done // self._size
        ):
            room -= _bytes(pair)
            with self._items._lock:
                # Of passes at the same time only the one that is ahead adds, in order.
                if room > 0 and len(kept) == number:
                    kept.append(pair)
            yield pair


def folder_of_images(path: Path, settings: DataSettings) -> tuple[Streamed, Streamed]:
    """`PATH/train/CLASS/*.jpg` and `PATH/val/CLASS/*.jpg` (or `test`), as weights want them.

    Raises:
        DataError: the folders are not there, or hold no images.
    """
    from torchvision.datasets import ImageFolder

    path = path.expanduser()
    last = next((name for name in ("val", "test") if (path / name).is_dir()), "val")
    eval_, training = _transforms(settings)
    parts = []
    for name in ("train", last):
        try:
            seen = ImageFolder(str(path / name), eval_)
        except (OSError, ValueError) as error:
            raise DataError(
                f"no images can be read from {path / name}",
                given=str(error).splitlines()[0],
                possible=f"{path}/train/CLASS/*.jpg and {path}/val/CLASS/*.jpg",
            ) from None
        changed = ImageFolder.__new__(ImageFolder)
        # The listing of a large folder is kept once.
        changed.__dict__ = {**seen.__dict__, "transform": training}
        parts.append(
            Streamed(
                dataset=seen,
                augmented=changed,
                workers=settings.workers,
                targets=torch.tensor(seen.targets),
            )
        )
    return parts[0], parts[1]


def _transforms(settings: DataSettings) -> tuple[Any, Any]:
    """How an image is prepared where it is as it is, and where it trains."""
    from torchvision.transforms import v2

    preset = _preset(settings.transforms)
    size = list(settings.size) or list(getattr(preset, "crop_size", [224]))
    mean = list(settings.mean) or list(getattr(preset, "mean", IMAGENET[0]))
    std = list(settings.std) or list(getattr(preset, "std", IMAGENET[1]))
    if len(size) == 1:
        size = size * 2
    last = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    if preset is not None and not (settings.size or settings.mean or settings.std):
        plain = preset
    else:
        # The usual proportion of ImageNet: sides of 256 before a crop of 224.
        larger = round(max(size) * 256 / 224)
        plain = v2.Compose([v2.Resize(larger), v2.CenterCrop(size), *last])
    trained = [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip(), *last]
    return plain, v2.Compose(trained)


def _preset(weights: str) -> Any:
    """The transforms of `torchvision:NAME:WEIGHTS`; None where none are named."""
    if not weights:
        return None
    from torchvision import models

    try:
        _, name, entry = weights.split(":")
        return models.get_model_weights(name)[entry].transforms()
    except (ValueError, KeyError) as error:
        raise DataError(
            "data.transforms names no weights of torchvision",
            given=f"{weights}: {error}",
            possible="torchvision:resnet18:IMAGENET1K_V1",
        ) from None


def _told(dataset: Dataset[Any]) -> torch.Tensor | None:
    """What a Dataset says of its targets without being read."""
    for name in ("targets", "labels"):
        found = getattr(dataset, name, None)
        if found is not None:
            try:
                told = torch.as_tensor(found)
            except (TypeError, ValueError, RuntimeError):
                return None
            # Names of classes, say, are not one an item.
            return told if told.ndim and len(told) == len(dataset) else None  # type: ignore[arg-type]
    return None


def _several(inputs: Any) -> tuple[Any, ...]:
    return tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)


def _pair(rows: list[tuple[Any, Any]]) -> Pair:
    """A batch; targets such as dictionaries of boxes differ in shape and stay a list."""
    given = as_inputs(collate([inputs for inputs, _ in rows]))
    inputs = tuple(values.float() if values.is_floating_point() else values for values in given)
    targets = [target for _, target in rows]
    plain = isinstance(targets[0], torch.Tensor | np.ndarray | int | float | np.generic)
    if plain and len({np.shape(target) for target in targets}) == 1:
        return inputs, plain_targets(collate(targets))
    return inputs, targets


def _bytes(pair: Pair) -> int:
    inputs, targets = pair
    return sum(v.nbytes for v in (*inputs, targets) if isinstance(v, torch.Tensor))
