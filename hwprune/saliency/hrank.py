"""Mean rank of a channel's feature maps (Lin et al. 2020, HRank)."""

from __future__ import annotations

import numpy as np

from hwprune.saliency.feature_rank import feature_ranks
from hwprune.saliency.l1 import l1
from hwprune.saliency.output_axes import GroupScores
from hwprune.saliency.registry import Subject, criterion


@criterion("hrank")
def hrank(subject: Subject) -> list[np.ndarray]:
    """Mean rank over images as a share of min(H, W), summed over the layers that carry a group.

    The paper ranks the filters of one layer at a time; where residual connections tie layers, the
    shares are added here. A group without maps of two rows and columns is ranked by l1.

    Raises:
        DataError: the subject has no task.
    """
    sums = GroupScores(subject.plan)
    for layer in feature_ranks(subject):
        sums.add(layer.spans, layer.shares, relative=False)
    return sums.filled(lambda: l1(subject))
