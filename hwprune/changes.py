"""Changes: many candidates that each differ in one group from a candidate that is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """One width of one group, in one of several rows of widths."""

    row: np.ndarray
    """Which of the rows, [changes]."""
    group: np.ndarray
    """[changes]."""
    width: np.ndarray
    """That the group has instead, [changes]."""

    @classmethod
    def of_each(cls, widths: Sequence[np.ndarray]) -> Changes:
        """In the one row there is, each group to each of its `widths`, one at a time."""
        group = np.repeat(np.arange(len(widths)), [len(row) for row in widths])
        return cls(row=np.zeros(len(group), int), group=group, width=np.concatenate(widths))

    def apply(self, widths: np.ndarray) -> np.ndarray:
        """The candidates in full, [changes, groups], of rows [n, groups]."""
        # Indexing by an array copies, so the caller's rows stay as they are.
        changed = widths[self.row]
        changed[np.arange(len(self.row)), self.group] = self.width
        return changed
