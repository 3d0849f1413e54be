"""A random order: what a criterion has to beat."""

from __future__ import annotations

import numpy as np

from hwprune.saliency.registry import Subject, criterion


@criterion("random", needs_data=False)
def random(subject: Subject) -> list[np.ndarray]:
    """Numbers drawn with the subject's seed."""
    rng = np.random.default_rng(subject.seed)
    return [rng.random(group.width) for group in subject.plan.groups]
