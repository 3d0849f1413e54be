"""Items that are whole tensors in memory: small sets, read once and never copied per item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hwprune.errors import DataError
from hwprune.task.augmentation import AUGMENTATIONS
from hwprune.task.items import Inputs, Pair


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Normalisation:
    """Mean and spread by channel (axis 1) that are taken out of an input; neither: left alone."""

    mean: tuple[float, ...] = ()
    """Of values in 0..1 where they come as bytes."""
    std: tuple[float, ...] = ()

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Values N C … as float32, whole numbers as they are."""
        if not self.mean:
            return values
        # C 1 1, to be broadcast over N C H W.
        shape = (-1, *[1] * (values.ndim - 2))
        top = 255.0 if values.dtype == torch.uint8 else 1.0
        # (v / top - mean) / std as one product and one difference in place: two copies fewer.
        std = torch.tensor(self.std, device=values.device)
        shift = torch.tensor(self.mean, device=values.device) / std
        scaled = values.float() * (1.0 / (top * std)).reshape(shape)
        return scaled.sub_(shift.reshape(shape))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tensors:
    """Inputs and targets in memory; bytes stay bytes, so 50,000 images stay small."""

    inputs: Inputs
    """One tensor for each input of the network, N first: N C H W, N C L, N F."""
    targets: torch.Tensor
    """N …, of any type."""
    normalise: Normalisation = Normalisation()
    """Of the first input."""
    augment: str = "none"
    """A key of `augmentation.AUGMENTATIONS`, for the first input."""

    def __post_init__(self) -> None:
        if any(len(values) != len(self.targets) for values in self.inputs):
            raise DataError(
                "inputs and targets do not fit each other",
                given=f"inputs {[tuple(v.shape) for v in self.inputs]}, "
                f"targets {tuple(self.targets.shape)}",
                possible="the same number of items in each, along the first axis",
            )

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: np.ndarray | Sequence[int]) -> Tensors:
        """The items at `indices`, in that order."""
        # torch takes no array with negative strides, such as a reversed order.
        chosen = torch.from_numpy(np.ascontiguousarray(indices))
        return replace(
            self,
            inputs=tuple(values[chosen] for values in self.inputs),
            targets=self.targets[chosen],
        )

    def pairs(self, size: int, *, training: bool = False) -> TensorPairs:
        """Batches of inputs and targets; for training shuffled, augmented, and all full."""
        return TensorPairs(self, size, training=training)

    def batch(self, chosen: slice | torch.Tensor, *, augmented: bool = False) -> Pair:
        """Some items, normalised."""
        first, *others = self.inputs
        values = first[chosen]
        if augmented and self.augment != "none":
            values = AUGMENTATIONS[self.augment](values)
        return (self.normalise(values), *(o[chosen] for o in others)), self.targets[chosen]


class TensorPairs:
    """One pass over tensors in batches."""

    def __init__(self, items: Tensors, size: int, *, training: bool) -> None:
        self._items = items
        self._size = min(size, len(items))
        self._training = training

    def __len__(self) -> int:
        count = len(self._items)
        # A smaller last batch would give BatchNorm poor sums.
        return max(1, count // self._size) if self._training else -(-count // self._size)

    def __iter__(self) -> Iterator[Pair]:
        if not self._training:
            for start in range(0, len(self._items), self._size):
                yield self._items.batch(slice(start, start + self._size))
            return
        order = torch.randperm(len(self._items))
        for chosen in order[: len(self) * self._size].split(self._size):
            yield self._items.batch(chosen, augmented=True)


def as_tensors(inputs: object, targets: object) -> Tensors:
    """Items from arrays or tensors, or tuples of arrays for networks of several inputs.

    float64 becomes float32; targets keep their kind: whole numbers int64, others float32.

    Raises:
        DataError: they are no arrays of numbers, or differ in length.
    """
    several = inputs if isinstance(inputs, tuple) else (inputs,)
    try:
        values = tuple(torch.as_tensor(one) for one in several)
        wanted = torch.as_tensor(targets)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            "the data cannot be read as tensors",
            given=str(error),
            possible="arrays or tensors: inputs N …, targets N …",
        ) from None
    values = tuple(v.float() if v.is_floating_point() else v for v in values)
    return Tensors(inputs=tuple(v.contiguous() for v in values), targets=plain_targets(wanted))


def plain_targets(targets: torch.Tensor) -> torch.Tensor:
    """Targets as losses want them: whole numbers int64, others float32."""
    return targets.float() if targets.is_floating_point() else targets.long()
