"""Size of BatchNorm's scale (Liu et al. 2017, Network Slimming)."""

from __future__ import annotations

import numpy as np

from hwprune.saliency.l1 import l1
from hwprune.saliency.output_axes import by_weight
from hwprune.saliency.registry import Subject, criterion


@criterion("bn_gamma", needs_data=False)
def bn_gamma(subject: Subject) -> list[np.ndarray]:
    """|γ|, by layer relative to its mean, summed over the group's BatchNorms.

    A group that no BatchNorm follows is ranked by l1: it has no γ.
    """
    sums = by_weight(subject.module, subject.plan, lambda rows: rows.abs().sum(1), norms=True)
    return sums.filled(lambda: l1(subject))
