"""The loss table: what scores of whole candidates say of the quality that each cut loses.

Ridge regression of -log(quality / base quality), which is nearly a sum over groups where
quality itself is not. It leans on `harm`, what the saliency ranking holds the removed channels to
be worth, which is known of groups that no candidate so far has cut; bench_table shows how far.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwprune.candidate import GroupChoice
from hwprune.changes import Changes
from hwprune.tables.ridge import Blocks, Ridge

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
        # Criteria have units of their own; the ridge's scales hold where all harms together are 1.
        most = sum(float(np.abs(row).max()) for row in harm) or 1.0
        for g, (group, row) in enumerate(zip(groups, harm, strict=True)):
            self._harm[g, list(group.choices)] = np.asarray(row) / most
        self._ridge = Ridge()
        self._bent = np.zeros(3)
        self._alone = np.zeros_like(self._harm)

    @property
    def error(self) -> float:
        """Typical error of `predict` at widths it has not seen."""
        return self._ridge.error

    def fit(self, widths: np.ndarray, quality: np.ndarray) -> None:
        """Learn from qualities [n], 0..1, of candidates [n, groups]."""
        share = np.clip(quality, FLOOR, 1.0) / self._base_quality
        # An error of a point weighs more in the logarithm of a low quality: trust those less.
        blocks = self._rows(widths)
        self._ridge.fit(blocks, -np.log(share), np.minimum(share, 1.0) ** 2)
        self._learn(blocks)

    def predict(self, widths: np.ndarray) -> np.ndarray:
        """Loss, -log(quality / base quality), of candidates [n, groups]; [n]."""
        return self._sum(*self._parts(widths))

    def changed(self, widths: np.ndarray, changes: Changes) -> np.ndarray:
        """Loss of rows of widths [n, groups] after one change each, [changes]."""
        group, new = changes.group, changes.width
        old = np.asarray(widths, int)[changes.row, group]
        alone, harm = (part[changes.row] for part in self._parts(widths))
        alone += self._alone[group, new] - self._alone[group, old]
        return self._sum(alone, harm + self._harm[group, new] - self._harm[group, old])

    def _parts(self, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What groups lose by themselves, and the whole harm, [n] each."""
        at = np.arange(len(self._full)), np.asarray(widths, int)
        return self._alone[at].sum(1), self._harm[at].sum(1)

    def _sum(self, alone: np.ndarray, harm: np.ndarray) -> np.ndarray:
        harm = np.maximum(harm, 0.0)  # a sum of differences may miss 0 by its last digit
        return np.asarray(alone + np.stack([np.sqrt(harm), harm, harm**2], axis=1) @ self._bent)

    def _learn(self, blocks: Blocks) -> None:
        """What the regression says, as a number for each width of each group."""
        self._bent, of_harm, of_sums, of_cut, of_square = self._ridge.coefficients(blocks)
        cut = 1 - np.arange(self._harm.shape[1]) / self._full[:, None]
        line, square = of_sums / np.sqrt(len(self._full))
        self._alone = (
            self._harm * of_harm[:, None]
            + cut * (of_cut[:, None] + line)
            + cut**2 * (of_square[:, None] + square)
        )

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
