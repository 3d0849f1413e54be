"""The advisor: for each group in turn, the best choice for what is left of the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwprune.evaluation import Evaluation
from hwprune.search.knapsack import BINS, Knapsack, combined
from hwprune.search.model import Model
from hwprune.search.problem import SearchProblem

TETHER = 0.03
"""Loss added for leaving the plan by a group's whole range: sums only hold near it."""


class Advisor:
    """Advice for whole batches of episodes; it learns from evaluations, never from the policy.

    Actions are in [-1, 1]: the smallest to the largest allowed width, all choices evenly spaced.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self.model = Model(problem, self._nearest_estimate(problem))
        self._choices = [np.array(g.choices) for g in problem.space.groups]
        self._sack: Knapsack | None = None

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        """Refit the table and plan anew; without one good evaluation there is no advice."""
        self.model.learn(evaluations)
        self._advise_around_plan()

    def restore(self, state: Mapping[str, Any], evaluations: Sequence[Evaluation]) -> None:
        """Give the advice that was given after these evaluations, planning from this state."""
        self.model.restore(state, evaluations)
        self._advise_around_plan()

    def _advise_around_plan(self) -> None:
        table, plan, aim = self.model.table, self.model.plan, self.model.aim
        if not table.known:
            return
        losses, costs = table.around(plan)
        losses = [
            loss + TETHER * np.abs(choices - width) / choices[-1]
            for loss, choices, width in zip(losses, self._choices, plan, strict=True)
        ]
        # A plan that is over the aim all the same is kept to, not run away from.
        planned = table.used(np.array([plan]))[0]
        self._sack, _ = combined(losses, costs, [max(aim, float(cost)) for cost in planned])

    def begin(self, episodes: int) -> np.ndarray:
        """What each of so many episodes may spend, in bins; [episodes]."""
        return np.full(episodes, BINS if self._sack is None else self._sack.bins_left())

    def advise(self, group: int, left: np.ndarray) -> np.ndarray:
        """Advised actions in [-1, 1] of a group, for bins left [n]; [n]."""
        top = len(self._choices[group]) - 1
        if top == 0:
            return np.zeros(len(left))
        if self._sack is None:
            index = np.full(len(left), list(self._choices[group]).index(self.model.plan[group]))
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
