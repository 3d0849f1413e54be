"""L1 norm of the weights that make a channel (Li et al. 2017, Pruning Filters for ConvNets)."""

from __future__ import annotations

import numpy as np

from hwprune.saliency.output_axes import by_weight
from hwprune.saliency.registry import Subject, criterion


@criterion("l1", needs_data=False)
def l1(subject: Subject) -> list[np.ndarray]:
    """Sum of absolute weights, by layer relative to its mean, summed over the group's layers."""
    return by_weight(
        subject.module, subject.plan, lambda rows: rows.abs().sum(1), norms=False
    ).scores
