"""The proposer: what is worth evaluating next, by a table of what was evaluated so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation, best_of
from hwprune.search.planner import Planner
from hwprune.search.problem import SearchProblem
from hwprune.search.random_search import scaled, target_estimate
from hwprune.search.table import Table

CAUTION = 0.25
"""The share of the table's typical error that is kept free below the limit."""
RECENT = 15
"""Evaluations whose misses count for how far the aim stays below the limit: three batches."""
VARIATIONS = 32
"""Of the plan, for each batch; the table chooses among them."""
SPREAD = (0.2, 0.06)
"""Standard deviation of a variation at the first and at the last evaluation; choices span 2."""
OVER = 5.0
"""Loss that one whole limit of believed excess counts for when variations are compared."""
DRAWN = 0.2
"""Share of a batch that is drawn without the table."""
NEAR = (0.92, 1.0)
"""Shares of the believed budget within which these are drawn."""


class Proposer:
    """Proposals for one problem; the same evaluations give the same ones."""

    def __init__(self, problem: SearchProblem) -> None:
        self.problem = problem
        self.table = Table(problem)
        self._planner = Planner(self.table)
        self._choices = [np.array(g.choices) for g in problem.space.groups]
        self._plan = problem.space.widest.widths
        self._evaluations: list[Evaluation] = []
        self._misses: list[float] = []

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        """Refit the table and plan anew; without one good evaluation there is no plan."""
        self._misses += self._missed(evaluations[len(self._evaluations) :])
        self._evaluations = list(evaluations)
        self.table.fit(evaluations)
        if not self.table.known:
            return
        best = best_of(self._evaluations)
        starts = [self._plan, *([best.candidate.widths] if best is not None else [])]
        self._plan = self._planner.best(starts, aim=self.aim, number=len(evaluations))

    @property
    def aim(self) -> float:
        """The believed cost, as a share of the limit, that is aimed at."""
        # What looks best is often what the table errs on, so its own error is not all. The
        # median: a batch in a new corner of the space misses by much, and is learned from.
        recent = self._misses[-RECENT:]
        missed = max(0.0, float(np.median(recent))) if recent else 0.0
        return 1 - CAUTION * float(self.table.used_error().max()) - missed

    def propose(
        self, count: int, asked: Callable[[Candidate], bool], *, left: float
    ) -> list[Candidate]:
        """Up to `count` new candidates.

        Args:
            asked: whether a candidate was asked for before.
            left: share of the allowance that is left, 1 to 0.
        """
        chance = np.random.default_rng([self.problem.seed, 11, len(self._evaluations)])
        drawn = max(1, round(DRAWN * count)) if count > 1 else 0
        found: dict[Candidate, None] = {}
        if self.table.known:
            for candidate in [*self._way_back(), *self._ranked(chance, left)]:
                if len(found) == count - drawn:
                    break
                if not asked(candidate):
                    found[candidate] = None
        target = target_estimate(self.problem, self._evaluations)
        for _ in range(8 * count):
            if len(found) == count:
                break
            direction = chance.random(len(self._choices))
            candidate = scaled(self.problem, direction, target * chance.uniform(*NEAR))
            if not asked(candidate):
                found[candidate] = None
        return list(found)

    def _ranked(self, chance: np.random.Generator, left: float) -> list[Candidate]:
        """The plan, then variations of it, the one believed best first."""
        last, first = min(SPREAD), max(SPREAD)
        widths = self._varied(chance, last + (first - last) * left)
        over = np.maximum(0.0, self.table.used(widths).max(axis=1) - self.aim)
        order = np.argsort(self.table.loss(widths) + OVER * over, kind="stable")
        rows = [self._plan, *map(tuple, widths[order].tolist())]
        return [Candidate(widths=row) for row in rows]

    def _varied(self, chance: np.random.Generator, std: float) -> np.ndarray:
        """[VARIATIONS, groups]."""
        columns = []
        for choices, width in zip(self._choices, self._plan, strict=True):
            top = len(choices) - 1
            place = np.searchsorted(choices, width) + chance.normal(0, std, VARIATIONS) * top / 2
            columns.append(choices[np.clip(np.rint(place), 0, top).astype(int)])
        return np.stack(columns, axis=1)

    def _way_back(self) -> list[Candidate]:
        """Half way from the plan to what keeps the budget, while that is the smallest alone."""
        smallest = self.problem.space.smallest
        kept = [e.candidate for e in self._evaluations if e.feasible]
        if any(candidate != smallest for candidate in kept):
            return []
        share = 0.5 ** (1 + len(self._evaluations) % 4)
        return [self._between(smallest.widths, self._plan, share)]

    def _between(self, low: Sequence[int], high: Sequence[int], share: float) -> Candidate:
        places = []
        for choices, a, b in zip(self._choices, low, high, strict=True):
            at = np.searchsorted(choices, [a, b])
            places.append(int(choices[int(np.floor(at[0] + share * (at[1] - at[0])))]))
        return Candidate(widths=tuple(places))

    def _missed(self, evaluations: Sequence[Evaluation]) -> list[float]:
        """How far costs came out over what was believed of them before."""
        good = [e for e in evaluations if e.failure is None]
        if not good or not self.table.known:
            return []
        believed = self.table.used(np.array([e.candidate.widths for e in good]))
        labels = self.problem.constraints
        real = np.array([[1 + e.excess[label] for label in labels] for e in good])
        return [float(m) for m in (real.max(axis=1) - believed.max(axis=1))]
