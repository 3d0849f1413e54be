"""Mean activation of a channel (after Molchanov et al. 2017, its "mean activation" criterion)."""

from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.l1 import l1
from hwprune.saliency.observation import by_channel_means
from hwprune.saliency.registry import Subject, criterion

IMAGES = 512


@criterion("activation_mean")
def activation_mean(subject: Subject) -> list[np.ndarray]:
    """Mean |activation| over images and positions, by layer relative to its mean, summed.

    Absolute values: a residual stream has no ReLU everywhere. A group that cannot be seen
    anywhere is ranked by l1.

    Raises:
        DataError: the subject has no task.
    """
    sums = by_channel_means(subject, _mean, IMAGES, relative=True)
    return sums.filled(lambda: l1(subject))


def _mean(maps: torch.Tensor) -> torch.Tensor:
    return maps.abs().transpose(0, 1).flatten(1).mean(1)
