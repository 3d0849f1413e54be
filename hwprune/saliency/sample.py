"""The training images that criteria look at: seeded, in batches, with progress."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from hwprune.errors import DataError
from hwprune.network.data import Data
from hwprune.saliency.registry import Subject


def data_of(subject: Subject) -> Data:
    """The subject's data.

    Raises:
        DataError: it has none.
    """
    if subject.data is None:
        raise DataError("there are no images to look at", next_step="give the subject data")
    return subject.data


def batches(
    subject: Subject, images: int, batch: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images N C H W, normalised, and labels N, drawn without return from the training part.

    The same seed draws the same images for every criterion. There are fewer than `images` where
    the training part is smaller.

    Raises:
        DataError: the subject has no data.
    """
    data = data_of(subject)
    generator = torch.Generator().manual_seed(subject.seed)
    chosen = torch.randperm(len(data.train), generator=generator)[:images]
    subject.progress.begin(f"{subject.stage}, images", len(chosen))
    for part in chosen.split(batch):
        yield data.normalise(data.train.images[part]), data.train.labels[part]
        subject.progress.advance(len(part))
