"""The Lagrange multipliers: one a constraint, driven by how far its cost is over the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Gains:
    """A PID controller's gains (Stooke et al., 2020); the derivative acts on rising cost alone."""

    proportional: float = 2.0
    integral: float = 0.1
    derivative: float = 0.5
    initial: float = 0.5


class Multiplier:
    """Multipliers of K constraints; costs are shares of the limit, so 1 is the limit."""

    def __init__(self, constraints: int, gains: Gains | None = None) -> None:
        self.gains = gains or Gains()
        self._integral = np.full(constraints, self.gains.initial)
        self._last = np.zeros(constraints)
        self.values = np.full(constraints, self.gains.initial)
        """λ, [constraints]; never below 0."""

    def update(self, costs: Sequence[float]) -> np.ndarray:
        """Take in the mean cost of a batch's episodes, [constraints], and give the new λ."""
        error = np.asarray(costs, float) - 1.0
        self._integral = np.maximum(0.0, self._integral + self.gains.integral * error)
        rising = np.maximum(0.0, error - self._last)
        self._last = error
        total = self.gains.proportional * error + self._integral + self.gains.derivative * rising
        self.values = np.maximum(0.0, total)
        return self.values

    def to_json(self) -> dict[str, Any]:
        """The controller's state as plain data."""
        return {
            "integral": self._integral.tolist(),
            "last": self._last.tolist(),
            "values": self.values.tolist(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state that `to_json` gave."""
        self._integral = np.array(state["integral"], float)
        self._last = np.array(state["last"], float)
        self.values = np.array(state["values"], float)
