"""The data of a deployment: what trains, what scores candidates, and what is looked at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hwprune.errors import DataError
from hwprune.network.augmentation import AUGMENTATIONS
from hwprune.network.data_source import read_source
from hwprune.network.split import Split, stratified_order


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """A data set in five parts: train, calibration, heldout, final, test.

    `calibration` is part of `train`; `heldout` and `final` come from the training images too but
    are never trained on; `test` is never seen before the end.
    """

    name: str
    classes: int
    mean: tuple[float, ...]
    """By channel, of pixels in 0..1."""
    std: tuple[float, ...]
    augment: str
    splits: Mapping[str, Split]
    content_hash: str
    """Of all pixels, labels, parts and the normalisation."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """C H W."""
        channels, height, width = self.splits["train"].images.shape[1:]
        return channels, height, width

    @property
    def train(self) -> Split:
        """What is trained on, not normalised."""
        return self.splits["train"]

    @property
    def calibration(self) -> np.ndarray:
        """Images that re-calibrate BatchNorm: N C H W float32, normalised."""
        return self.split("calibration")[0]

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Images N C H W float32, normalised, and labels N int64 of one part."""
        return self.inputs(name).numpy(), self.part(name).labels.numpy()

    def inputs(self, name: str, count: int | None = None) -> torch.Tensor:
        """The first `count` images of one part, or all, normalised: N C H W float32."""
        return self.normalise(self.part(name).images[:count])

    def part(self, name: str) -> Split:
        """One part, not normalised.

        Raises:
            DataError: there is no such part.
        """
        if name not in self.splits:
            raise DataError(f"no part '{name}'", possible=", ".join(self.splits))
        return self.splits[name]

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Images of any part as float32 with the data's mean and spread taken out."""
        top = 255.0 if images.dtype == torch.uint8 else 1.0
        std = torch.tensor(self.std, device=images.device)
        shift = torch.tensor(self.mean, device=images.device) / std
        scaled = images.float() * (1.0 / (top * std))[:, None, None]
        return scaled.sub_(shift[:, None, None])

    def training_batch(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Training images at `indices`, augmented and normalised: N C H W float32."""
        return self.normalise(AUGMENTATIONS[self.augment](self.train.images[indices], generator))

    def example(self, shape: Sequence[int] = ()) -> torch.Tensor:
        """One normalised image as a batch of 1: 1 C H W; checked against `shape` if one is given.

        Raises:
            DataError: the deployment says another input shape than the data has.
        """
        if shape and tuple(shape[1:]) != self.input_shape:
            raise DataError(
                "the network's input does not fit the data",
                given=f"network input {list(shape)}, images {list(self.input_shape)}",
                next_step="leave network.input out, or give data of that shape",
            )
        return self.normalise(self.train.images[:1])


def load_data(
    source: str,
    *,
    root: str = "~/.cache/hwprune/data",
    heldout: int = 1000,
    final_heldout: int = 0,
    calibration: int = 250,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    augment: str = "none",
    seed: int = 0,
    limit: int | None = None,
) -> Data:
    """Read data and split it.

    Args:
        source: see `data_source.read_source`.
        root: where downloaded data lies or goes.
        heldout: images set aside from the training part to score candidates.
        final_heldout: further ones to compare finalists; 0: `final` is `heldout` again.
        calibration: training images that re-calibrate BatchNorm.
        mean: by channel, for pixels in 0..1; empty: of the training images. `std` alike.
        augment: a key of `augmentation.AUGMENTATIONS`.
        seed: of the split. Every part has the classes in their shares of the whole.
        limit: use at most so many images of the training part and of the test part.

    Raises:
        DataError: the data is absent, has the wrong shape, or has too few images for the split.
    """
    if augment not in AUGMENTATIONS:
        raise DataError("unknown augmentation", given=augment, possible=", ".join(AUGMENTATIONS))
    whole, test = read_source(source, root)
    order = stratified_order(whole.labels, seed)[:limit]
    aside = heldout + final_heldout
    if heldout < 1 or calibration < 2 or len(order) - aside < calibration:
        raise DataError(
            f"{len(order)} training images are too few for this split",
            given=f"heldout {heldout}, final_heldout {final_heldout}, calibration {calibration}",
            possible="heldout ≥ 1, calibration ≥ 2, and calibration images left to train on",
        )
    rest = order[aside:]
    parts = {"train": rest, "calibration": rest[:calibration], "heldout": order[:heldout]}
    parts["final"] = order[heldout:aside] if final_heldout else parts["heldout"]
    splits = {name: whole.take(indices) for name, indices in parts.items()}
    splits["test"] = test.take(stratified_order(test.labels, 0)[:limit]) if limit else test
    mean, std = _normalisation(splits["train"], mean, std)
    return Data(
        name=source,
        classes=int(max(whole.labels.max(), test.labels.max())) + 1,
        mean=mean,
        std=std,
        augment=augment,
        splits=splits,
        content_hash=_content_hash(splits, mean, std),
    )


def _normalisation(
    train: Split, mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    channels = train.images.shape[1]
    if any(given and len(given) != channels for given in (mean, std)):
        raise DataError(
            "mean and std need one number for each channel",
            given=f"mean {list(mean)}, std {list(std)}",
            possible=f"{channels} numbers each, for pixels in 0..1",
        )
    top = 255.0 if train.images.dtype == torch.uint8 else 1.0
    # A few thousand images give the figures to three digits; all of them as float would be large.
    sample = train.images[:5000].float() / top
    found = sample.mean((0, 2, 3)).tolist(), sample.std((0, 2, 3)).clamp_min(1e-6).tolist()
    return tuple(map(float, mean or found[0])), tuple(map(float, std or found[1]))


def _content_hash(splits: Mapping[str, Split], mean: Sequence[float], std: Sequence[float]) -> str:
    digest = hashlib.sha256(repr((tuple(mean), tuple(std))).encode())
    for name in sorted(splits):
        digest.update(f"{name} {splits[name].images.shape}".encode())
        digest.update(splits[name].images.contiguous().numpy().data)
        digest.update(splits[name].labels.numpy().data)
    return digest.hexdigest()
