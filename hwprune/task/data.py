"""Data with targets, in parts: what trains, what scores candidates, and what is looked at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from hwprune.data_settings import DataSettings
from hwprune.errors import DataError
from hwprune.task.augmentation import AUGMENTATIONS
from hwprune.task.data_source import read_source
from hwprune.task.items import CALIBRATION, Inputs, Items, Pair, first_items, stratified_order
from hwprune.task.task import Part
from hwprune.task.tensors import Normalisation, Tensors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """A data set in the parts that a task has.

    `heldout` and `final` come from the training items too but are never trained on; `test` is
    never seen before the end.
    """

    name: str
    parts: Mapping[Part, Items]
    content_hash: str
    """Of the parts and the normalisation."""
    classes: int | None
    """Where targets are whole numbers, one more than the largest."""

    def part(self, name: Part) -> Items:
        """One part's items.

        Raises:
            DataError: there is no such part.
        """
        if name not in self.parts:
            raise DataError(f"no part '{name}'", possible=", ".join(self.parts))
        return self.parts[name]

    def pairs(self, part: Part, size: int) -> Iterable[Pair]:
        """Batches of inputs and targets of a part, as `Task.batches` wants them."""
        return self.part(part).pairs(size, training=part == "train")

    def inputs(self, part: Part, count: int | None = None, *, size: int = 32) -> Iterable[Inputs]:
        """The first `count` inputs of a part as they are, or all."""
        # The same items, but as they are, and in an order that stays.
        kept: Part = "calibration" if part == "train" else part
        return first_items((inputs for inputs, _ in self.pairs(kept, size)), count)

    @property
    def example(self) -> Inputs:
        """One item as a batch of 1."""
        return next(iter(self.inputs("calibration", 1, size=1)))

    @property
    def targets(self) -> Any:
        """Targets of the first few items, to see what they are."""
        return next(iter(self.pairs("calibration", 4)))[1]


def load_data(source: str, **keys: Any) -> Data:
    """Read data and split it; `keys` are those of `[data]` in a deployment file."""
    return read_data(DataSettings(source=source, **keys))


def read_data(settings: DataSettings) -> Data:
    """Read the data that settings name and split it.

    Raises:
        DataError: the data is absent, has the wrong shape, or has too few items for the split.
    """
    if settings.augment not in AUGMENTATIONS:
        possible = ", ".join(AUGMENTATIONS)
        raise DataError("unknown augmentation", given=settings.augment, possible=possible)
    whole, test, labels = read_source(settings)
    order = stratified_order(labels, settings.seed)
    aside = settings.heldout + settings.final_heldout
    calibration = settings.calibration or CALIBRATION
    if settings.heldout < 1 or calibration < 2 or len(order) - aside < calibration:
        raise DataError(
            f"{len(order)} training items are too few for this split",
            given=f"heldout {settings.heldout}, final_heldout {settings.final_heldout}, "
            f"calibration {calibration}",
            possible="heldout ≥ 1, calibration ≥ 2, and calibration items left to train on",
        )
    train = whole.take(order[aside:])
    heldout = whole.take(order[: settings.heldout])
    final = whole.take(order[settings.heldout : aside]) if settings.final_heldout else heldout
    parts: dict[Part, Items] = {
        "train": train,
        "calibration": train,
        "heldout": heldout,
        "final": final,
        "test": test,
    }
    if isinstance(train, Tensors):
        found = _normalisation(train, settings)
        how: dict[str, Any] = {"normalise": found, "augment": settings.augment}
        parts = {n: replace(p, **how) for n, p in parts.items()}  # type: ignore[type-var]
    elif settings.augment != "none" or (
        (settings.mean or settings.std) and not settings.source.startswith("imagefolder:")
    ):
        raise DataError(
            "a Dataset that is streamed prepares and augments its items itself",
            given=f"augment {settings.augment}, mean {list(settings.mean)}, "
            f"std {list(settings.std)}",
            next_step="leave these keys out, and do it in the Dataset",
        )
    return Data(
        name=settings.source,
        parts=parts,
        content_hash=_content_hash(settings, parts),
        classes=None if labels.ndim != 1 or labels.is_floating_point() else int(labels.max()) + 1,
    )


def _normalisation(train: Tensors, settings: DataSettings) -> Normalisation:
    """The mean and spread asked for, or those of the first input's channels.

    Numbers of the user's own that are no bytes are taken as prepared already.
    """
    values, (mean, std) = train.inputs[0], (settings.mean, settings.std)
    ours = settings.source.startswith(("sklearn:", "torchvision:"))
    prepared = values.dtype == torch.float32 and not ours and not mean and not std
    # Rows of features, N F, have no channels whose figures these could be.
    if prepared or values.ndim < 3 or values.dtype not in (torch.uint8, torch.float32):
        return Normalisation(mean=tuple(mean), std=tuple(std))
    channels = values.shape[1]
    if any(given and len(given) != channels for given in (mean, std)):
        raise DataError(
            "mean and std need one number for each channel",
            given=f"mean {list(mean)}, std {list(std)}",
            possible=f"{channels} numbers each, for values in 0..1",
        )
    top = 255.0 if values.dtype == torch.uint8 else 1.0
    # A few thousand items give the figures to three digits; all of them as float would be large.
    sample = values[:5000].float().transpose(0, 1).flatten(1) / top
    found = sample.mean(1).tolist(), sample.std(1).clamp_min(1e-6).tolist()
    return Normalisation(
        mean=tuple(map(float, mean or found[0])), std=tuple(map(float, std or found[1]))
    )


def _content_hash(settings: DataSettings, parts: Mapping[Part, Items]) -> str:
    """Of every byte of tensors; of streamed items, of the settings and each part's first item."""
    digest = hashlib.sha256(repr(settings).encode())
    # Calibration has the items of train.
    for name in ("train", "heldout", "final", "test"):
        items = parts[name]
        digest.update(f"{name} {len(items)}".encode())
        if isinstance(items, Tensors):
            digest.update(repr(items.normalise).encode())
            arrays = [*items.inputs, items.targets]
        else:
            arrays = list(next(iter(items.pairs(1)))[0])
        for tensor in arrays:
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
