"""Matrix rank of feature maps (Lin et al. 2020, HRank), by layer and channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hwprune.saliency.observation import channel_means
from hwprune.saliency.registry import Subject
from hwprune.stored import as_noun
from hwprune_device.plan import Span

IMAGES = 256
"""The mean rank of a map settles with few images, which is HRank's own finding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerRanks:
    """The mean ranks of one layer's maps."""

    layer: str
    size: tuple[int, int]
    """H and W of a map."""
    spans: tuple[Span, ...]
    """Which units of which groups the channels are."""
    ranks: np.ndarray
    """By channel, the mean over images, 0..min(H, W)."""

    @property
    def shares(self) -> np.ndarray:
        """By channel, rank / min(H, W), 0..1: ranks of different resolutions, made comparable."""
        return self.ranks / min(self.size)

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        spans = [[s.group, s.start, s.count, s.repeat] for s in self.spans]
        return {
            "layer": self.layer,
            "size": list(self.size),
            "spans": spans,
            "ranks": self.ranks.tolist(),
        }

    @classmethod
    def from_json(cls, data: Any) -> LayerRanks:
        """The inverse of `to_json`.

        Raises:
            ValueError: it is something else.
        """
        kept = as_noun(_Kept, data)
        return cls(
            layer=kept.layer,
            size=kept.size,
            spans=tuple(Span(group=g, start=s, count=c, repeat=r) for g, s, c, r in kept.spans),
            ranks=np.array(kept.ranks, np.float64),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the cache holds of a layer's ranks."""

    layer: str
    size: tuple[int, int]
    spans: tuple[tuple[int, int, int, int], ...]
    ranks: tuple[float, ...]


def feature_ranks(subject: Subject) -> list[LayerRanks]:
    """The ranks of all maps that carry a channel group, in the network's order.

    Layers whose values are no maps (N C, N L C, maps of one row or column) are left out: they have
    no rank by which channels differ.

    Raises:
        DataError: the subject has no task.
    """
    return [
        LayerRanks(layer=p.layer, size=(p.shape[2], p.shape[3]), spans=p.spans, ranks=ranks)
        for p, ranks in channel_means(subject, _mean_ranks, IMAGES)
    ]


def _mean_ranks(maps: torch.Tensor) -> torch.Tensor | None:
    if maps.ndim != 4 or min(maps.shape[2:]) < 2:
        return None
    return matrix_ranks(maps).double().mean(0)


def matrix_ranks(maps: torch.Tensor) -> torch.Tensor:
    """The rank of each map: N C H W to N C.

    As torch.linalg.matrix_rank has it in float32: singular values above max(H, W) ε times the
    largest count. They come from the Gram matrix in float64, which takes half the time.
    """
    height, width = maps.shape[2:]
    # The Gram matrix of the shorter side, whose eigenvalues are the squared singular values.
    wide = maps.double() if height <= width else maps.double().transpose(2, 3)
    squares = torch.linalg.eigvalsh(wide @ wide.transpose(2, 3))
    least = max(height, width) * torch.finfo(torch.float32).eps
    # eigvalsh gives them in rising order: the last is the largest.
    return (squares > squares[..., -1:] * least**2).sum(-1)
