"""Weighted ridge regression whose strength is chosen by leave-one-out error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Blocks = Sequence[tuple[np.ndarray, float]]
"""Columns [rows, n] and how far their coefficients may stray from 0, relative to other blocks."""
STRENGTHS = np.geomspace(1e-4, 1e2, 13)


class Ridge:
    """One regression; `fit` anew whenever there is more to learn from."""

    def __init__(self) -> None:
        self.size = 0
        """Number of coefficients."""
        self.error = 0.0
        """Weighted root mean square of leave-one-out errors."""
        self._mean = np.zeros(0)
        self._directions = np.zeros((0, 0))
        self._shrink = np.zeros(0)
        self._prior = 0.0

    def fit(self, blocks: Blocks, target: np.ndarray, weight: np.ndarray) -> None:
        """Regress target [rows] on blocks; weight [rows] is how much each row is trusted."""
        rows = _scaled(blocks)
        root = np.sqrt(weight / weight.mean())
        left, singular, right = np.linalg.svd(rows * root[:, None], full_matrices=False)
        aim = target * root
        projected = left.T @ aim
        best = np.inf
        for strength in STRENGTHS:
            keep = singular**2 / (singular**2 + strength)
            leverage = np.minimum((left**2) @ keep, 0.999)
            miss = (aim - left @ (keep * projected)) / (1 - leverage)
            error = float(np.sqrt(np.mean(miss**2)))
            if error < best:
                best, chosen = error, strength
        self._mean = right.T @ (singular / (singular**2 + chosen) * projected)
        self._directions = right
        self._shrink = 1 - np.sqrt(chosen / (singular**2 + chosen))
        freedom = float((singular**2 / (singular**2 + chosen)).sum())
        rest = aim - left @ (singular**2 / (singular**2 + chosen) * projected)
        noise = float(rest @ rest) / max(1.0, len(aim) - freedom)
        self._prior = float(np.sqrt(noise / chosen))
        self.error, self.size = best, rows.shape[1]

    def predict(self, blocks: Blocks, luck: np.ndarray | None = None) -> np.ndarray:
        """The target of new rows; with `luck` [size], by one draw of plausible coefficients."""
        mean = self._mean
        if luck is not None:
            known = self._directions.T @ (self._shrink * (self._directions @ luck))
            mean = mean + self._prior * (luck - known)
        return np.asarray(_scaled(blocks) @ mean)


def _scaled(blocks: Blocks) -> np.ndarray:
    return np.concatenate([columns * scale for columns, scale in blocks], axis=1)
