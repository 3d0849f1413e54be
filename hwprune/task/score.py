"""A score: how well a network did a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """The metric's value on a part, or on a share of it."""

    value: float
    others: Mapping[str, float] = field(default_factory=dict)
    """Further numbers by name, to be shown beside it."""
    items: np.ndarray | None = None
    """[N] a number for each item, in the part's order: on it two networks are compared pair by
    pair, which tells them apart with far fewer items. Its mean need not be the value, but what is
    better by one must be better by the other, and higher means better. Where it is the value,
    fewer items are scored of what is over its budget."""
