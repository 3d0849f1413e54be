"""The running scale: brings observations, rewards and costs to a spread of about 1."""

from __future__ import annotations

import numpy as np

EPSILON = 1e-8
MOST = 10.0
"""What is scaled is kept within ± this, as Stable-Baselines3's VecNormalize does."""


class RunningScale:
    """Mean and variance of everything seen so far, of vectors of one size."""

    def __init__(self, size: int = 1) -> None:
        self.mean = np.zeros(size)
        self.variance = np.ones(size)
        # As in Stable-Baselines3: what mean and variance begin with hardly counts.
        self._count = 1e-4

    def see(self, rows: np.ndarray) -> None:
        """Take in rows [n, size] (Chan et al. 1979)."""
        count, mean, variance = len(rows), rows.mean(axis=0), rows.var(axis=0)
        apart, whole = mean - self.mean, self._count + count
        squares = self.variance * self._count + variance * count
        self.variance = (squares + apart**2 * self._count * count / whole) / whole
        self.mean = self.mean + apart * count / whole
        self._count = whole

    def standardised(self, rows: np.ndarray) -> np.ndarray:
        """Rows less the mean, over the standard deviation."""
        return np.clip((rows - self.mean) / np.sqrt(self.variance + EPSILON), -MOST, MOST)


class ReturnScale:
    """Divides rewards by the standard deviation of their discounted sum; the mean stays."""

    def __init__(self, episodes: int, discount: float) -> None:
        """`episodes`: how many run side by side."""
        self._scale = RunningScale()
        self._sums = np.zeros(episodes)
        self._discount = discount

    def scaled(self, rewards: np.ndarray, *, over: bool) -> np.ndarray:
        """Rewards [episodes] of one step; `over`: whether it was the episodes' last."""
        self._sums = self._sums * self._discount + rewards
        self._scale.see(self._sums[:, None])
        if over:
            self._sums[:] = 0.0
        return np.clip(rewards / np.sqrt(self._scale.variance + EPSILON), -MOST, MOST)
