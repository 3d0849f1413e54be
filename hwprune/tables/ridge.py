"""Weighted ridge regression whose strength is chosen by leave-one-out error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Blocks = Sequence[tuple[np.ndarray, float]]
"""Columns [rows, n] and how far their coefficients may stray from 0, relative to other blocks."""
STRENGTHS = np.geomspace(1e-4, 1e6, 21)


class Ridge:
    """One regression; `fit` anew whenever there is more to learn from."""

    def __init__(self) -> None:
        self.error = 0.0
        """Weighted root mean square of leave-one-out errors."""
        self._mean = np.zeros(0)

    def fit(self, blocks: Blocks, target: np.ndarray, weight: np.ndarray) -> None:
        """Regress target [rows] on blocks; weight [rows] is how much each row is trusted."""
        rows = _scaled(blocks)
        # By their mean, so that a strength means the same whatever unit the weights have.
        root = np.sqrt(weight / weight.mean())
        rows = rows * root[:, None]
        left, square = _left(rows)
        aim = target * root
        projected = left.T @ aim
        # How little a row's prediction hangs on the row itself: 1 less its leverage, which would
        # lose all its digits near 1.
        outside = np.maximum(0.0, 1 - (left**2).sum(axis=1))
        best = np.inf
        for strength in STRENGTHS:
            keep = square / (square + strength)
            apart = outside + (left**2) @ (strength / (square + strength))
            miss = (aim - left @ (keep * projected)) / np.maximum(apart, 1e-12)
            error = float(np.sqrt(np.mean(miss**2)))
            if error < best:
                best, chosen = error, strength
        # rows.T @ left are the right singular vectors times their values, so one value divides.
        self._mean = rows.T @ (left @ (projected / (square + chosen)))
        self.error = best

    def forget(self, error: float) -> None:
        """Predict 0 from now on, with this error."""
        self._mean = np.zeros_like(self._mean)
        self.error = error

    def predict(self, blocks: Blocks) -> np.ndarray:
        """The target of new rows, [rows]."""
        return np.asarray(_scaled(blocks) @ self._mean)

    def coefficients(self, blocks: Blocks) -> list[np.ndarray]:
        """By block, what a column adds for each of its own units, [n]; blocks give the sizes."""
        ends = np.cumsum([columns.shape[1] for columns, _ in blocks])[:-1]
        parts = np.split(self._mean, ends)
        return [part * scale for part, (_, scale) in zip(parts, blocks, strict=True)]


def _left(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors of rows [n, columns] and squares of their singular values.

    From the smaller of the two Gram matrices: several times faster than the whole decomposition,
    and what squaring loses of small values is far below every strength.
    """
    if rows.shape[0] <= rows.shape[1]:
        square, left = np.linalg.eigh(rows @ rows.T)
        return left, np.maximum(square, 0.0)
    square, right = np.linalg.eigh(rows.T @ rows)
    some = square > square[-1] * 1e-12
    return rows @ right[:, some] / np.sqrt(square[some]), square[some]


def _scaled(blocks: Blocks) -> np.ndarray:
    return np.concatenate([columns * scale for columns, scale in blocks], axis=1)
