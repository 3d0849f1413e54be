"""Distance from the other filters of the layer (He et al. 2019, FPGM).

A filter near the geometric median of its layer is one that the others can stand in for, however
large it is; so of two equal filters both score low.
"""

from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.output_axes import by_weight
from hwprune.saliency.registry import Subject, criterion


@criterion("fpgm", needs_data=False)
def fpgm(subject: Subject) -> list[np.ndarray]:
    """Sum of distances to the layer's other filters, relative to its mean, summed over layers.

    Distances are Euclidean between filters as they are, as in the paper's code; scaling a filter
    that a BatchNorm follows changes them.
    """
    return by_weight(subject.module, subject.plan, _distances, norms=False).scores


def _distances(rows: torch.Tensor) -> torch.Tensor:
    # Without the matrix-product shortcut, whose rounding gives equal filters a distance.
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").sum(1)
