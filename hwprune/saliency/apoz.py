"""Average percentage of zeros of a channel's activations (Hu et al. 2016, Network Trimming)."""

from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.l1 import l1
from hwprune.saliency.observation import by_channel_means
from hwprune.saliency.registry import Subject, criterion

IMAGES = 512


@criterion("apoz")
def apoz(subject: Subject) -> list[np.ndarray]:
    """Share of activations above zero, 0..1 by layer, summed over the group's layers.

    That is 1 - APoZ behind a ReLU; before one it counts what the ReLU would let pass. A layer
    without any zeros, such as behind a sigmoid, says the same of all its channels. A group that
    cannot be seen anywhere is ranked by l1.

    Raises:
        DataError: the subject has no task.
    """
    sums = by_channel_means(subject, _positive, IMAGES, relative=False)
    return sums.filled(lambda: l1(subject))


def _positive(maps: torch.Tensor) -> torch.Tensor:
    return (maps > 0).float().transpose(0, 1).flatten(1).mean(1)
