"""The loss table: what scores of whole candidates tell of the quality that each cut loses.

Ridge regression of -log(quality / base quality), which is nearly a sum over groups where
quality itself is not. It leans on `harm`, what the saliency ranking holds the removed channels to
be worth, which tells of groups that no candidate so far has cut; bench_table shows how far.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwprune.candidate import GroupChoice
from hwprune.search.ridge import Blocks, Ridge

FLOOR = 0.03
"""Qualities below this are taken as this: their logarithm says nothing."""


class LossTable:
    """What is believed about the loss of any widths."""

    def __init__(
        self, groups: Sequence[GroupChoice], harm: Sequence[np.ndarray], base_quality: float
    ) -> None:
        """`harm`: by group and choice, see `SearchProblem.harm`."""
        self._full = np.array([g.width for g in groups], float)
        self._base_quality = max(base_quality, FLOOR)
        self._harm = np.zeros((len(groups), int(self._full.max()) + 1))
        most = sum(float(np.abs(row).max()) for row in harm) or 1.0
        for g, (group, row) in enumerate(zip(groups, harm, strict=True)):
            self._harm[g, list(group.choices)] = np.asarray(row) / most
        self._ridge = Ridge()

    @property
    def error(self) -> float:
        """Typical error of `predict` at widths it has not seen."""
        return self._ridge.error

    def fit(self, widths: np.ndarray, quality: np.ndarray) -> None:
        """Learn from qualities [n], 0..1, of candidates [n, groups]."""
        share = np.clip(quality, FLOOR, 1.0) / self._base_quality
        # An error of a point weighs more in the logarithm of a low quality: trust those less.
        self._ridge.fit(self._rows(widths), -np.log(share), np.minimum(share, 1.0) ** 2)

    def predict(self, widths: np.ndarray) -> np.ndarray:
        """Loss, -log(quality / base quality), of candidates [n, groups]; [n]."""
        return self._ridge.predict(self._rows(widths))

    def _rows(self, widths: np.ndarray) -> Blocks:
        groups = np.arange(len(self._full))
        harm = self._harm[groups, widths.astype(int)]
        cut = 1 - widths / self._full
        whole = harm.sum(1, keepdims=True)
        sums = np.concatenate([cut.sum(1, keepdims=True), (cut**2).sum(1, keepdims=True)], axis=1)
        return [
            # How harms add up is bent, and differs from network to network.
            (np.concatenate([np.sqrt(whole), whole, whole**2], axis=1), 5.0),
            (harm, 6.0),
            (sums / np.sqrt(len(groups)), 1.0),
            # Losses of a cut start flat and grow steep: squares may stray more than lines.
            (cut, 0.15),
            (cut**2, 0.5),
        ]
