"""The knapsack: the widths with the least total loss whose total cost stays within a limit.

Losses and costs are sums over groups. The table of least losses by group and budget left is kept,
so that the best choice for one group can also be asked for when the groups before it were chosen
otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BINS = 800
"""Budget is cut into so many parts; rounding 32 groups to them errs by about 0.3 % of it."""


TURNS = 16
"""Tries to make several constraints one."""


class Knapsack:
    """Least losses for every group and every budget left."""

    def __init__(
        self, losses: Sequence[np.ndarray], costs: Sequence[np.ndarray], limit: float
    ) -> None:
        """`losses[g]`, `costs[g]`: [choices] of group g, any sign; `limit`: on their costs."""
        least = [float(c.min()) for c in costs]
        self._room = limit - sum(least)
        # Without room, any step above the least is out of reach.
        scale = BINS / max(self._room, 1e-9)
        self._steps = [
            np.minimum(np.rint((c - low) * scale), BINS + 1).astype(int)
            for c, low in zip(costs, least, strict=True)
        ]
        self._losses = list(losses)
        self._ahead = self._fill()

    @property
    def possible(self) -> bool:
        """Whether any choice keeps the limit."""
        return self._room >= 0

    def _fill(self) -> np.ndarray:
        """[groups + 1, bins + 1]: least loss of groups g.. with b bins left."""
        ahead = np.zeros((len(self._losses) + 1, BINS + 1))
        for g in reversed(range(len(self._losses))):
            ahead[g] = self._options(g, ahead[g + 1]).min(axis=0)
        return ahead

    def _options(self, group: int, after: np.ndarray) -> np.ndarray:
        """[choices, bins + 1]: least loss from here on, for each choice of this group."""
        options = np.full((len(self._losses[group]), BINS + 1), np.inf)
        for c, step in enumerate(self._steps[group]):
            if step <= BINS:
                options[c, step:] = self._losses[group][c] + after[: BINS + 1 - step]
        return options

    def bins_left(self) -> int:
        """What there is to spend before the first group."""
        return BINS if self.possible else -1

    def bins_of(self, group: int, choice: np.ndarray) -> np.ndarray:
        """What choices of a group spend, in bins; [n] for n choices."""
        return np.asarray(self._steps[group][choice])

    def advise(self, group: int, left: np.ndarray) -> np.ndarray:
        """The best choice of a group for each number of bins left, or the cheapest; [n]."""
        options = self._options(group, self._ahead[group + 1])[:, np.clip(left, 0, BINS)]
        best = options.argmin(axis=0)
        hopeless = (left < 0) | ~np.isfinite(options.min(axis=0))
        return np.where(hopeless, int(self._steps[group].argmin()), best)

    def solve(self) -> np.ndarray:
        """The best choice of every group, [groups]; the cheapest where none keeps the limit."""
        left = np.array([self.bins_left()])
        chosen = []
        for g in range(len(self._losses)):
            choice = self.advise(g, left)
            left = left - self.bins_of(g, choice)
            chosen.append(int(choice[0]))
        return np.array(chosen)


def combined(
    losses: Sequence[np.ndarray], costs: Sequence[Sequence[np.ndarray]], limits: Sequence[float]
) -> tuple[Knapsack, np.ndarray]:
    """A knapsack that respects several constraints, and the weights that made them one.

    `costs[k][g]`: costs of constraint k. One constraint is solved exactly. Several are added up
    with weights (a surrogate constraint), which shift towards those the solution breaks; where
    that does not settle it, the sum's own limit shrinks as well.
    """
    count = len(limits)
    weights = np.full(count, 1.0 / count)
    rows = [[c / limit for c in row] for row, limit in zip(costs, limits, strict=True)]
    best: tuple[float, Knapsack, np.ndarray] | None = None
    tight = 1.0
    for turn in range(1 if count == 1 else TURNS):
        mixed = [
            np.sum([w * row[g] for w, row in zip(weights, rows, strict=True)], axis=0)
            for g in range(len(losses))
        ]
        sack = Knapsack(losses, mixed, tight)
        chosen = sack.solve()
        used = np.array([sum(row[g][c] for g, c in enumerate(chosen)) for row in rows])
        worst = float(used.max())
        if best is None or worst < best[0]:
            best = (worst, sack, weights)
        if worst <= 1.0:
            break
        weights = weights * np.exp(4.0 * (used - used.min()))
        weights = weights / weights.sum()
        if turn >= TURNS // 2:
            tight /= worst
    assert best is not None
    return best[1], best[2]
