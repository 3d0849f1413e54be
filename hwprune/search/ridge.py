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
        self.error = 0.0
        """Weighted root mean square of leave-one-out errors."""
        self._mean = np.zeros(0)

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
        self.error = best

    def predict(self, blocks: Blocks) -> np.ndarray:
        """The target of new rows, [rows]."""
        return np.asarray(_scaled(blocks) @ self._mean)

    def coefficients(self, blocks: Blocks) -> list[np.ndarray]:
        """By block, what a column adds for each of its own units, [n]; blocks give the sizes."""
        ends = np.cumsum([columns.shape[1] for columns, _ in blocks])[:-1]
        parts = np.split(self._mean, ends)
        return [part * scale for part, (_, scale) in zip(parts, blocks, strict=True)]


def _scaled(blocks: Blocks) -> np.ndarray:
    return np.concatenate([columns * scale for columns, scale in blocks], axis=1)
