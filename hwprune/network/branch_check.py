"""Whether branches that can go are worth trusting: tried like cuts are, on random weights."""

from __future__ import annotations

import numpy as np

from hwprune.channels.base import BaseNetwork
from hwprune.network.drawing import draw
from hwprune.network.trial import Trial

_ROUNDED = 1e-6
"""What is left of a branch is worked out in the weights' own float32."""


def trusted_branches(base: BaseNetwork, seed: int = 0) -> tuple[int, ...]:
    """Groups that can have a width of 0, each of which computes what its silence computes.

    Raises:
        NetworkError: the graph has an op that torch's side does not know.
    """
    possible = base.removable
    if not possible:
        return ()
    trial = Trial(base, draw(base, seed), seed, tolerance=_ROUNDED)
    # Of what is tried nothing stays; groups that are not tried stay whole.
    trial.keep = [np.arange(0)] * len(base.plan.groups)
    faults = trial.faults(possible)
    return tuple(group for group in possible if group not in faults)
