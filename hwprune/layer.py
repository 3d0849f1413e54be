"""The layer: what of a network's structure a board's time hangs on, as functions of widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwprune.operation import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCount:
    """How many channels an axis has: a fixed part, and so many for each unit of some groups."""

    fixed: int
    per_unit: tuple[tuple[int, int], ...] = ()
    """(group, channels that each of its units stands for)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer with weights, such as a convolution."""

    name: str
    positions: int
    """Places where its kernel is applied, for one input of batch 1."""
    kernel: int
    """Elements of the kernel: 9 for 3 x 3."""
    grouped: bool
    outputs: ChannelCount
    inputs: ChannelCount
    """Of one group of the convolution, where it is grouped."""
    operation: Operation | None = None
    """How the graph applies it; None where that is not known."""

    @property
    def kind(self) -> tuple[int, int, bool]:
        """Layers of one kind differ in nothing but channels, so they cost a board alike."""
        return (self.positions, self.kernel, self.grouped)


def channels(counts: Sequence[ChannelCount], widths: np.ndarray) -> np.ndarray:
    """Channels of several axes at widths [candidates, groups]; [candidates, axes]."""
    matrix = np.zeros((widths.shape[1], len(counts)))
    for axis, count in enumerate(counts):
        for group, each in count.per_unit:
            matrix[group, axis] += each
    # candidates x groups times groups x axes
    return widths @ matrix + [count.fixed for count in counts]
