"""Proposals: episodes under way, the knapsack's advice, and which are worth measuring."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwprune.candidate import Candidate
from hwprune.search.knapsack import BINS, Knapsack, combined
from hwprune.search.problem import SearchProblem
from hwprune.search.table import Table

BELIEFS = 4
"""Knapsacks side by side, each on one plausible belief about accuracies (Thompson sampling)."""
OVER_BUDGET = 5.0
"""What a believed excess costs a proposal, in loss per share of the limit."""
MARGIN = 0.5
"""How far below the limit proposals aim, in typical errors of the believed cost."""


class Proposals:
    """What the environment plays on; see `environment.Course`."""

    def __init__(self, problem: SearchProblem, table: Table, rng: np.random.Generator) -> None:
        self.features = problem.features
        self.groups = len(problem.space.groups)
        self.rng = rng
        self._space = problem.space
        self._table = table
        self._choices = [np.array(g.choices) for g in problem.space.groups]
        self.centre: tuple[int, ...] = problem.space.uniform(0.7).widths
        self._sacks: list[Knapsack] = []
        self._lucks: list[np.ndarray] = []
        self._left = np.zeros(0)
        self.widths = np.zeros((0, self.groups), int)
        """Chosen so far, [episodes, groups]."""

    def begin(self, episodes: int) -> None:
        """Draw beliefs and solve a knapsack on each."""
        error = float(self._table.used_error().max())
        self.centre, _ = self._solve(self.centre, None, MARGIN * error, rounds=3)
        self._sacks, self._lucks = [], []
        for _ in range(BELIEFS):
            luck = self.rng.normal(size=self._table.luck_size)
            margin = MARGIN * error * self.rng.normal(1.0, 0.5)
            self._sacks.append(self._solve(self.centre, luck, margin, rounds=1)[1])
            self._lucks.append(luck)
        self._left = np.array([self._sack(e).bins_left() for e in range(episodes)])
        self.widths = np.zeros((episodes, self.groups), int)

    def _solve(
        self, centre: tuple[int, ...], luck: np.ndarray | None, margin: float, *, rounds: int
    ) -> tuple[tuple[int, ...], Knapsack]:
        """Solve, move the centre there, and solve again: sums hold near their centre only."""
        for _ in range(rounds):
            losses, costs = self._table.around(centre, luck)
            sack, _ = combined(losses, costs, [1.0 - margin] * len(costs))
            chosen = sack.solve()
            last, centre = (
                centre,
                tuple(int(c[i]) for c, i in zip(self._choices, chosen, strict=True)),
            )
            if centre == last:
                break
        return centre, sack

    def _sack(self, episode: int) -> Knapsack:
        return self._sacks[episode % BELIEFS]

    def _by_sack(self, answer: Callable[[Knapsack, np.ndarray], np.ndarray]) -> np.ndarray:
        """Ask every episode's own knapsack; [episodes]."""
        out = np.zeros(len(self._left))
        for number, sack in enumerate(self._sacks):
            rows = np.arange(number, len(self._left), BELIEFS)
            if len(rows):
                out[rows] = answer(sack, rows)
        return out

    def advice(self, group: int) -> np.ndarray:
        """The knapsacks' choice for a group given what is left, as actions in [-1, 1]."""
        steps = max(1, len(self._choices[group]) - 1)
        index = self._by_sack(lambda sack, rows: sack.advise(group, self._left[rows].astype(int)))
        return index / steps * 2 - 1

    def room(self, group: int) -> np.ndarray:
        """Share of the budget above the smallest widths that is left; [episodes]."""
        return np.clip(self._left / BINS, -1.0, 1.0)

    def choose(self, group: int, actions: np.ndarray) -> None:
        """Take the width nearest to each action."""
        choices = self._choices[group]
        index = np.rint((actions + 1) / 2 * (len(choices) - 1)).astype(int)
        self.widths[:, group] = choices[index]
        spent = self._by_sack(lambda sack, rows: sack.bins_of(group, index[rows]))
        self._left = self._left - spent

    def pick(self, count: int, asked: Callable[[Candidate], bool]) -> list[tuple[int, Candidate]]:
        """The episodes most worth measuring, each by one of the beliefs; none asked for before."""
        error = float(self._table.used_error().max())
        excess = np.maximum(0.0, self._table.used(self.widths).max(axis=1) - 1 + MARGIN * error)
        picked: dict[Candidate, int] = {}
        for turn in range(count):
            loss = self._table.loss(self.widths, self._lucks[turn % BELIEFS])
            for episode in np.argsort(loss + OVER_BUDGET * excess, kind="stable"):
                candidate = Candidate(widths=tuple(int(w) for w in self.widths[episode]))
                if candidate not in picked and not asked(candidate):
                    picked[candidate] = int(episode)
                    break
        return [(episode, candidate) for candidate, episode in picked.items()]
