"""The model: the surrogate, and the widths that it holds best as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwprune.evaluation import Evaluation, best_of
from hwprune.search.planner import Planner
from hwprune.search.problem import SearchProblem
from hwprune.search.surrogate import Surrogate, priced

CAUTION = 0.25
"""The share of the surrogate's typical error that is kept free below the limit."""
RECENT = 15
"""Evaluations whose misses count for how far the aim stays below the limit: three batches."""
OVER = 5.0
"""How much loss one whole limit of believed excess counts for when candidates are compared."""


class Model:
    """Learns from evaluations and plans; the same evaluations give the same plan."""

    def __init__(self, problem: SearchProblem, start: Sequence[int]) -> None:
        """`start`: the plan before anything is known."""
        self.surrogate = Surrogate(problem)
        self.plan = tuple(start)
        """The widths held best."""
        self._planner = Planner(self.surrogate)
        self._misses: list[float] = []
        self._learned = 0

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        """Refit the surrogate and plan anew; without one good evaluation the plan stays."""
        # Before the fit: what was believed of them without them.
        self._misses += self._missed(evaluations[self._learned :])
        self._learned = len(evaluations)
        self.surrogate.fit(evaluations)
        if not self.surrogate.known:
            return
        best = best_of(list(evaluations))
        starts = [self.plan, *([best.candidate.widths] if best is not None else [])]
        self.plan = self._planner.best(starts, aim=self.aim, number=len(evaluations))

    @property
    def aim(self) -> float:
        """The believed cost, as a share of the limit, that is aimed at."""
        if not self.surrogate.known:
            return 1.0
        # What looks best is often what the surrogate errs on, so its own error is not all.
        recent = self._misses[-RECENT:]
        # The median: a batch in a new corner of the space misses by much, and is learned from.
        missed = max(0.0, float(np.median(recent))) if recent else 0.0
        return 1 - CAUTION * float(self.surrogate.used_error().max()) - missed

    def ranked(self, widths: np.ndarray) -> np.ndarray:
        """Places of rows of widths [n, groups], the one believed best first; [n]."""
        value = priced(
            self.surrogate.loss(widths), self.surrogate.used(widths), aim=self.aim, price=OVER
        )
        return np.argsort(value, kind="stable")

    def _missed(self, evaluations: Sequence[Evaluation]) -> list[float]:
        """How far costs were measured over what was believed of them before."""
        good = [e for e in evaluations if e.failure is None and e.measured]
        if not good or not self.surrogate.known:
            return []
        believed = self.surrogate.used(np.array([e.candidate.widths for e in good]))
        labels = self.surrogate.problem.constraints
        real = np.array([[1 + e.excess[label] for label in labels] for e in good])
        return [float(m) for m in (real.max(axis=1) - believed.max(axis=1))]
