"""The proposer: what is worth evaluating next, by a surrogate of what was evaluated so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation
from hwprune.search.model import Model
from hwprune.search.problem import SearchProblem
from hwprune.search.random_search import drawn, target_estimate

VARIATIONS = 32
"""Of the plan, for each batch; the surrogate chooses among them."""
SPREAD = (0.2, 0.06)
"""Standard deviation of a variation at the first and at the last evaluation; choices span 2."""
DRAWN = 0.2
"""Share of a batch that is drawn without the surrogate."""


class Proposer:
    """Proposals for one problem; the same evaluations give the same ones."""

    def __init__(self, problem: SearchProblem) -> None:
        self.problem = problem
        self.model = Model(problem, problem.space.widest.widths)
        self._choices = [np.array(g.choices) for g in problem.space.groups]
        self._evaluations: list[Evaluation] = []

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        """Refit the surrogate and plan anew."""
        self._evaluations = list(evaluations)
        self.model.learn(evaluations)

    def propose(
        self, count: int, asked: Callable[[Candidate], bool], *, left: float
    ) -> dict[Candidate, str]:
        """Up to `count` new candidates, with who proposes them: "model", or "chance".

        Args:
            asked: whether a candidate was asked for before.
            left: share of the allowance that is left, 1 to 0.
        """
        chance = np.random.default_rng([self.problem.seed, 11, len(self._evaluations)])
        by_chance = max(1, round(DRAWN * count)) if count > 1 else 0
        found: dict[Candidate, str] = {}
        if self.model.surrogate.known:
            for candidate in [*self._way_back(), *self._ranked(chance, left)]:
                if len(found) == count - by_chance:
                    break
                if not asked(candidate):
                    found[candidate] = "model"
        more = drawn(
            self.problem,
            count - len(found),
            lambda candidate: asked(candidate) or candidate in found,
            chance,
            target=target_estimate(self.problem, self._evaluations),
        )
        return found | dict.fromkeys(more, "chance")

    def _ranked(self, chance: np.random.Generator, left: float) -> list[Candidate]:
        """The plan, then variations of it, the one believed best first."""
        first, last = SPREAD
        widths = self._varied(chance, last + (first - last) * left)
        order = self.model.ranked(widths)
        rows = [self.model.plan, *map(tuple, widths[order].tolist())]
        return [Candidate(widths=row) for row in rows]

    def _varied(self, chance: np.random.Generator, std: float) -> np.ndarray:
        """[VARIATIONS, groups]."""
        columns = []
        for choices, width in zip(self._choices, self.model.plan, strict=True):
            top = len(choices) - 1
            # A group's choices span 2, as a policy's actions do: `std` is in that unit.
            place = np.searchsorted(choices, width) + chance.normal(0, std, VARIATIONS) * top / 2
            columns.append(choices[np.clip(np.rint(place), 0, top).astype(int)])
        return np.stack(columns, axis=1)

    def _way_back(self) -> list[Candidate]:
        """Half way from the plan to what keeps the budget, while that is the smallest alone."""
        smallest = self.problem.space.smallest
        kept = [e.candidate for e in self._evaluations if e.feasible]
        if any(candidate != smallest for candidate in kept):
            return []
        # By turns a half to a sixteenth of the way: the limit may lie close to the smallest.
        share = 0.5 ** (1 + len(self._evaluations) % 4)
        return [self._between(smallest.widths, self.model.plan, share)]

    def _between(self, low: Sequence[int], high: Sequence[int], share: float) -> Candidate:
        places = []
        for choices, a, b in zip(self._choices, low, high, strict=True):
            at = np.searchsorted(choices, [a, b])
            places.append(int(choices[int(np.floor(at[0] + share * (at[1] - at[0])))]))
        return Candidate(widths=tuple(places))
