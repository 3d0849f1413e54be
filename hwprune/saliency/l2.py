"""L2 norm of the weights that make a channel."""

from __future__ import annotations

import numpy as np

from hwprune.saliency.output_axes import by_weight
from hwprune.saliency.registry import Subject, criterion


@criterion("l2", needs_data=False)
def l2(subject: Subject) -> list[np.ndarray]:
    """Euclidean norm, by layer relative to its mean, summed over the group's layers."""
    return by_weight(
        subject.module, subject.plan, lambda rows: rows.norm(dim=1), norms=False
    ).scores
