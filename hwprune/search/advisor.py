"""The advisor: for each group in turn, the best choice for what is left of the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwprune.evaluation import Evaluation, best_of
from hwprune.search.knapsack import BINS, Knapsack, combined
from hwprune.search.planner import Planner
from hwprune.search.problem import SearchProblem
from hwprune.search.table import Table

CAUTION = 0.25
"""The share of the table's typical error that is kept free below the limit."""
RECENT = 15
"""Evaluations whose misses count for how far the aim stays below the limit: three batches."""
TETHER = 0.03
"""Loss added for leaving the plan by a group's whole range: sums only hold near it."""


class Advisor:
    """Advice for whole batches of episodes; it learns from evaluations, never from the policy.

    Actions are in [-1, 1]: the smallest to the largest allowed width, all choices evenly spaced.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self.table = Table(problem)
        self._planner = Planner(self.table)
        self._groups = problem.space.groups
        self._choices = [np.array(g.choices) for g in self._groups]
        self._centre = self._nearest_estimate(problem)
        self._misses: list[float] = []
        self._learned = 0
        self.state: dict[str, Any] = self._state()
        """What the last planning began with: with the evaluations, all that advice depends on."""
        self._sack: Knapsack | None = None

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        """Refit the table and plan anew; without one good evaluation there is no advice."""
        self.state = self._state()
        self._misses += self._missed(evaluations[self._learned :])
        self._learned = len(evaluations)
        self.table.fit(evaluations)
        if not self.table.known:
            return
        best = best_of(list(evaluations))
        starts = [self._centre, *([best.candidate.widths] if best is not None else [])]
        self._centre = self._planner.best(starts, aim=self.aim, number=len(evaluations))
        losses, costs = self.table.around(self._centre)
        losses = [
            loss + TETHER * np.abs(choices - width) / choices[-1]
            for loss, choices, width in zip(losses, self._choices, self._centre, strict=True)
        ]
        # A plan that is over the aim all the same is kept to, not run away from.
        planned = self.table.used(np.array([self._centre]))[0]
        self._sack, _ = combined(losses, costs, [max(self.aim, float(cost)) for cost in planned])

    def restore(self, state: Mapping[str, Any], evaluations: Sequence[Evaluation]) -> None:
        """Give the advice that was given after these evaluations, planning from this state."""
        self._centre = tuple(state["centre"])
        self._misses = list(state["misses"])
        self._learned = int(state["learned"])
        if self._learned:
            self.table.fit(evaluations[: self._learned])
        self.learn(evaluations)

    def _state(self) -> dict[str, Any]:
        misses = self._misses[-RECENT:]
        return {"centre": list(self._centre), "misses": misses, "learned": self._learned}

    def _missed(self, evaluations: Sequence[Evaluation]) -> list[float]:
        """How far costs came out over what was believed of them before."""
        good = [e for e in evaluations if e.failure is None]
        if not good or not self.table.known:
            return []
        believed = self.table.used(np.array([e.candidate.widths for e in good]))
        labels = self.table.problem.constraints
        real = np.array([[1 + e.excess[label] for label in labels] for e in good])
        return [float(m) for m in (real.max(axis=1) - believed.max(axis=1))]

    @property
    def centre(self) -> tuple[int, ...]:
        """The widths the table holds best as a whole."""
        return self._centre

    @property
    def aim(self) -> float:
        """The believed cost, as a share of the limit, that is aimed at."""
        if not self.table.known:
            return 1.0
        # What looks best is often what the table errs on, so its own error is not all.
        recent = self._misses[-RECENT:]
        # The median: a batch in a new corner of the space misses by much, and is learned from.
        missed = max(0.0, float(np.median(recent))) if recent else 0.0
        return 1 - CAUTION * float(self.table.used_error().max()) - missed

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
