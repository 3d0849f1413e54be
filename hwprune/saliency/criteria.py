"""The saliency criteria by name, and what each of them is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

    from hwprune.network.data import Data
    from hwprune_device.plan import CutPlan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A network whose channels are to be scored."""

    module: nn.Module
    """The torch twin of the base network; a criterion leaves its weights as they are."""
    plan: CutPlan
    data: Data | None
    """None where the criterion looks at weights alone."""
    seed: int


Criterion = Callable[[Subject], list[np.ndarray]]
"""A score for each unit of each group; higher means more important."""

CRITERIA: dict[str, Criterion] = {}
"""Every criterion by the name that deployments use."""


def criterion(name: str) -> Callable[[Criterion], Criterion]:
    """Register a criterion under a name."""

    def register(function: Criterion) -> Criterion:
        CRITERIA[name] = function
        return function

    return register


# Importing a criterion registers it; the list is here so that one look shows all of them.
from hwprune.saliency import bn_gamma, l1, l2, random, taylor  # noqa: E402, F401
