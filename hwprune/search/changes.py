"""Changes: many candidates that each differ in one group from a candidate that is at hand."""

from __future__ import annotations

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

    def apply(self, widths: np.ndarray) -> np.ndarray:
        """The candidates in full, [changes, groups], of rows [n, groups]."""
        changed = widths[self.row]
        changed[np.arange(len(self.row)), self.group] = self.width
        return changed
