"""The layer: what of a network's structure a board's time hangs on, as functions of widths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCount:
    """How many channels an axis has: a fixed part, and so many for each unit of some groups."""

    fixed: int
    per_unit: tuple[tuple[int, int], ...] = ()
    """(group, channels that each of its units stands for)."""

    def of(self, widths: np.ndarray) -> np.ndarray:
        """Channels at widths [candidates, groups]; [candidates]."""
        count = widths[:, 0] * 0 + self.fixed
        for group, channels in self.per_unit:
            count = count + widths[:, group] * channels
        return count


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

    @property
    def kind(self) -> tuple[int, int, bool]:
        """Layers of one kind differ in nothing but channels, so they cost a board alike."""
        return (self.positions, self.kernel, self.grouped)
