"""Criteria of what layers give for training images."""

from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.feature_rank import feature_ranks
from hwprune.saliency.observation import by_channel_means
from hwprune.saliency.output_axes import GroupScores
from hwprune.saliency.registry import Subject, criterion
from hwprune.saliency.weights import l1

IMAGES = 512


@criterion("activation_mean")
def activation_mean(subject: Subject) -> list[np.ndarray]:
    """Mean |activation| over images and positions, by layer relative to its mean, summed.

    After Molchanov et al. 2017, the "mean activation" criterion. Absolute values: a residual
    stream has no ReLU everywhere. A group that cannot be seen anywhere is ranked by l1.

    Raises:
        DataError: the subject has no task.
    """
    sums = by_channel_means(subject, _mean, IMAGES, relative=True)
    return sums.filled(lambda: l1(subject))


def _mean(maps: torch.Tensor) -> torch.Tensor:
    # N C ... to C and all else: the mean is over images and positions.
    return maps.abs().transpose(0, 1).flatten(1).mean(1)


@criterion("apoz")
def apoz(subject: Subject) -> list[np.ndarray]:
    """Share of activations above zero, 0..1 by layer, summed over the group's layers.

    Hu et al. 2016, Network Trimming: 1 - APoZ behind a ReLU; before one it counts what the ReLU
    would let pass. A layer without any zeros, such as behind a sigmoid, says the same of all its
    channels. A group that cannot be seen anywhere is ranked by l1.

    Raises:
        DataError: the subject has no task.
    """
    sums = by_channel_means(subject, _positive, IMAGES, relative=False)
    return sums.filled(lambda: l1(subject))


def _positive(maps: torch.Tensor) -> torch.Tensor:
    return (maps > 0).float().transpose(0, 1).flatten(1).mean(1)


@criterion("hrank")
def hrank(subject: Subject) -> list[np.ndarray]:
    """Mean rank of feature maps as a share of min(H, W), summed over the layers of a group.

    Lin et al. 2020, HRank, ranks the filters of one layer at a time; where residual connections
    tie layers, the shares are added here. A group without maps of two rows and columns is ranked
    by l1.

    Raises:
        DataError: the subject has no task.
    """
    sums = GroupScores(subject.plan)
    for layer in feature_ranks(subject):
        # Shares of min(H, W) have one unit already.
        sums.add(layer.spans, layer.shares, relative=False)
    return sums.filled(lambda: l1(subject))
