"""The advisor: for each group in turn, the best choice for what is left of the budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwprune.evaluation import Evaluation
from hwprune.search.knapsack import BINS, Knapsack, combined
from hwprune.search.problem import SearchProblem
from hwprune.search.table import Table

CAUTION = 0.25
"""The share of the table's typical error that is kept free below the limit."""


class Advisor:
    """Advice for whole batches of episodes; it learns from evaluations, never from the policy.

    Actions are in [-1, 1]: the smallest to the largest allowed width, all choices evenly spaced.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self.table = Table(problem)
        self._groups = problem.space.groups
        self._choices = [np.array(g.choices) for g in self._groups]
        self._centre = self._nearest_estimate(problem)
        self._began = self._centre
        self.start = self._centre
        """Where the last planning began: with the evaluations, all that advice depends on."""
        self._sack: Knapsack | None = None

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        """Refit the table and plan anew; without one good evaluation there is no advice."""
        self._began = self._centre
        self.table.fit(evaluations)
        self.start = self._centre
        if not self.table.known:
            return
        # Losses and costs are sums only near a centre: plan, move there, and plan once more.
        for _ in range(2):
            losses, costs = self.table.around(self._centre)
            limit = 1 - CAUTION * float(self.table.used_error().max())
            self._sack, _ = combined(losses, costs, [limit] * len(costs))
            solution = self._sack.solve()
            centre = tuple(int(c[i]) for c, i in zip(self._choices, solution, strict=True))
            if centre == self._centre:
                break
            self._centre = centre

    def restore(self, start: Sequence[int], evaluations: Sequence[Evaluation]) -> None:
        """Give the advice that was given after these evaluations, planning from this start."""
        self._centre = tuple(start)
        self.learn(evaluations)

    @property
    def centre(self) -> tuple[int, ...]:
        """The widths the table holds best as a whole."""
        return self._centre

    @property
    def aim(self) -> float:
        """The believed cost, as a share of the limit, that is aimed at."""
        return 1 - CAUTION * float(self.table.used_error().max()) if self.table.known else 1.0

    def begin(self, episodes: int) -> np.ndarray:
        """What each of so many episodes may spend, in bins; [episodes]."""
        return np.full(episodes, BINS if self._sack is None else self._sack.bins_left())

    def advise(self, group: int, left: np.ndarray) -> np.ndarray:
        """Advised actions in [-1, 1] of a group, for bins left [n]; [n]."""
        top = len(self._choices[group]) - 1
        if top == 0:
            return np.zeros(len(left))
        if self._sack is None:
            index = np.full(len(left), list(self._choices[group]).index(self._centre[group]))
        else:
            index = self._sack.advise(group, left)
        return np.asarray(2.0 * index / top - 1.0)

    def index_of(self, group: int, actions: np.ndarray) -> np.ndarray:
        """The choices nearest to actions [n], which are clipped to [-1, 1]; indices [n]."""
        top = len(self._choices[group]) - 1
        return np.rint((np.clip(actions, -1.0, 1.0) + 1) / 2 * top).astype(int)

    def widths_of(self, group: int, index: np.ndarray) -> np.ndarray:
        """Widths of a group's choices, [n]."""
        return np.asarray(self._choices[group][index])

    def spend(self, group: int, index: np.ndarray) -> np.ndarray:
        """What choices of a group cost, in bins; [n]."""
        if self._sack is None:
            return np.zeros(len(index), int)
        return self._sack.bins_of(group, index)

    @staticmethod
    def _nearest_estimate(problem: SearchProblem) -> tuple[int, ...]:
        """Before anything is known: the uniform cut whose estimate is half of the whole."""
        cuts = [problem.space.uniform(keep).widths for keep in np.linspace(1, 0, 41)]
        return min(cuts, key=lambda widths: abs(problem.estimate(widths) - 0.5))
