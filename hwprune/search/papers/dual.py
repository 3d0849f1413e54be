"""The dual variable: the price of a constraint, by gradient ascent (Malik et al. 2022)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F


class DualVariable:
    """A price softplus(z); z takes one Adam step a rollout, up where the cost is over its budget.

    Source: `dual_variable.py` of the paper's repository, with its learning rate of 1.
    """

    def __init__(self, *, start: float = 1.0, lr: float = 1.0) -> None:
        """`start`: the price before the first rollout, above 0."""
        self._z = torch.tensor(math.log(math.expm1(start)), requires_grad=True)
        self._optimizer = torch.optim.Adam([self._z], lr=lr)

    @property
    def value(self) -> float:
        """The price, above 0."""
        return float(F.softplus(self._z.detach()))

    def update(self, cost: float, budget: float) -> None:
        """One step of ascent on price × (cost − budget); both in the cost's own unit."""
        self._optimizer.zero_grad()
        (-F.softplus(self._z) * (cost - budget)).backward()
        self._optimizer.step()
