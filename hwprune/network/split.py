"""Images with their labels: one part of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hwprune.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """One part of a data set; images keep the type they came in, so 50,000 of them stay small."""

    images: torch.Tensor
    """N C H W, uint8 (0..255) or float32."""
    labels: torch.Tensor
    """N, int64, 0..classes-1."""

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                "images and labels do not fit each other",
                given=f"images {tuple(self.images.shape)}, labels {tuple(self.labels.shape)}",
                possible="images N C H W and labels N",
            )

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: np.ndarray) -> Split:
        """The images at `indices`, in that order."""
        chosen = torch.from_numpy(np.ascontiguousarray(indices))
        return Split(images=self.images[chosen], labels=self.labels[chosen])


def as_split(images: object, labels: object) -> Split:
    """A split from arrays or tensors; N H W images get a channel axis, float64 becomes float32.

    Raises:
        DataError: the images are no array of numbers, or the labels are no whole numbers.
    """
    try:
        pixels = torch.as_tensor(images)
        numbers = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            "the data cannot be read as tensors",
            given=str(error),
            possible="arrays or tensors: images N C H W, labels N",
        ) from None
    if pixels.ndim == 3:
        pixels = pixels.unsqueeze(1)
    if pixels.dtype != torch.uint8:
        pixels = pixels.float()
    if numbers.is_floating_point():
        raise DataError(
            "labels must be whole numbers",
            given=f"labels of type {numbers.dtype}",
            possible="int64",
        )
    return Split(images=pixels.contiguous(), labels=numbers.long())


def stratified_order(labels: torch.Tensor, seed: int) -> np.ndarray:
    """Indices in an order of which every prefix has about the classes' shares of the whole."""
    rng = np.random.default_rng(seed)
    classes = labels.numpy()
    place = np.empty(len(classes))
    for value in np.unique(classes):
        members = np.flatnonzero(classes == value)
        # Each class is spread evenly over 0..1, shuffled inside and shifted at random.
        place[rng.permutation(members)] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(place, kind="stable")
