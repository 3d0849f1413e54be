"""The Lagrange multipliers: prices of the constraints, raised while a constraint is broken.

PID form of Stooke, Achiam and Abbeel (ICML 2020); with `proportional` and `derivative` 0 it is
plain dual ascent. Knows nothing of RLlib.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Gains:
    """How a multiplier answers to the excess of a batch."""

    start: float = 0.5
    """Multiplier before the first batch; the integral part starts here."""
    proportional: float = 1.0
    integral: float = 0.1
    """Also the learning rate of plain dual ascent."""
    derivative: float = 0.5
    """Answers to rising cost only: falling cost is what was wanted."""
    highest: float = 100.0


class Multiplier:
    """One multiplier for each constraint; each within [0, gains.highest]."""

    def __init__(self, constraints: int, gains: Gains | None = None) -> None:
        self.gains = gains or Gains()
        self._integral = np.full(constraints, self.gains.start)
        self._before = np.full(constraints, np.nan)
        self._values = np.full(constraints, self.gains.start)

    @property
    def values(self) -> np.ndarray:
        """The multipliers, [constraints]."""
        return self._values.copy()

    def update(self, excess: Sequence[float] | np.ndarray) -> np.ndarray:
        """Answer to a batch's mean excess, [constraints], above 0 where broken; the new values."""
        error = np.asarray(excess, float)
        if error.shape != self._values.shape:
            raise ValueError(f"{len(self._values)} excesses expected, not {error.shape}")
        gains = self.gains
        # The integral is clipped as well: without that it winds up and answers too late.
        self._integral = np.clip(self._integral + gains.integral * error, 0.0, gains.highest)
        rise = np.where(np.isnan(self._before), 0.0, np.maximum(0.0, error - self._before))
        self._before = error
        wanted = self._integral + gains.proportional * error + gains.derivative * rise
        self._values = np.clip(wanted, 0.0, gains.highest)
        return self.values

    def state_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "integral": self._integral.tolist(),
            "before": [None if np.isnan(b) else float(b) for b in self._before],
            "values": self._values.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._integral = np.array(state["integral"], float)
        self._before = np.array([np.nan if b is None else b for b in state["before"]], float)
        self._values = np.array(state["values"], float)
