"""L2 norm of the weights that make a channel."""

from __future__ import annotations

import numpy as np

from hwprune.saliency.criteria import Subject, criterion
from hwprune.saliency.output_axes import by_weight


@criterion("l2")
def l2(subject: Subject) -> list[np.ndarray]:
    """Euclidean norm, by layer relative to its mean, summed over the group's layers."""
    return by_weight(
        subject.module, subject.plan, lambda rows: rows.norm(dim=1), norms=False
    ).scores
