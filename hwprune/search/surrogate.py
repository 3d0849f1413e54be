"""The surrogate: what is believed about quality and cost of candidates that were not evaluated.

Learned from every evaluation so far. It answers in microseconds, and knows how far it errs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwprune.changes import Changes
from hwprune.evaluation import Evaluation
from hwprune.search.loss_table import LossTable
from hwprune.search.problem import SearchProblem
from hwprune.tables.cost_table import CostTable

NEAR = 0.3
"""Readings within about this of the limit, as a share of it, count most."""
FAR_WEIGHT = 0.05
"""Weight of a reading far from the limit: it shows structure, but it must not decide."""


class Surrogate:
    """Beliefs about one problem; `fit` as evaluations come in."""

    def __init__(self, problem: SearchProblem) -> None:
        self.problem = problem
        full = [g.width for g in problem.space.groups]
        self.known = False
        """Whether anything was fitted yet."""
        self._losses = LossTable(problem.space.groups, problem.harm, problem.base_quality)
        self._costs = {
            label: CostTable(
                problem.layers, full, problem.forms.get(label), before=problem.known.get(label)
            )
            for label in problem.constraints
        }

    def fit(self, evaluations: Sequence[Evaluation]) -> None:
        """Believe these evaluations, all of them, and nothing else."""
        good = [e for e in evaluations if e.failure is None]
        if not good:
            return
        self.known = True
        quality = {s.widths: s.quality for s in self.problem.scored}
        quality |= {e.candidate.widths: e.quality for e in good if e.quality is not None}
        if quality:
            self._losses.fit(np.array(list(quality)), np.array(list(quality.values())))
        # What a latency table said instead of a board is no reading to learn from.
        good = [e for e in good if e.measured]
        if not good:
            return
        widths = np.array([e.candidate.widths for e in good])
        for label, costs in self._costs.items():
            used = np.array([1 + e.excess[label] for e in good])
            costs.fit(widths, used, np.exp(-(((used - 1) / NEAR) ** 2)) + FAR_WEIGHT)

    def loss(self, widths: np.ndarray) -> np.ndarray:
        """Believed loss, -log(quality / base quality), of widths [n, groups]; [n]."""
        return self._losses.predict(widths)

    def quality(self, widths: np.ndarray) -> np.ndarray:
        """Believed quality, 0..1, of widths [n, groups]; [n]."""
        return np.clip(self.problem.base_quality * np.exp(-self.loss(widths)), 0.0, 1.0)

    def used(self, widths: np.ndarray) -> np.ndarray:
        """Believed cost over limit, 1 at the limit, of widths [n, groups]; [n, constraints]."""
        return np.stack([costs.predict(widths) for costs in self._costs.values()], axis=1)

    def changed(self, widths: np.ndarray, changes: Changes) -> tuple[np.ndarray, np.ndarray]:
        """Believed loss [changes] and cost over limit [changes, constraints] after changes.

        Args:
            widths: rows that the changes are made in, [n, groups].
        """
        used = [costs.changed(widths, changes) for costs in self._costs.values()]
        return self._losses.changed(widths, changes), np.stack(used, axis=1)

    def used_error(self) -> np.ndarray:
        """Typical error of `used` on a candidate it has not seen, [constraints]."""
        return np.array([costs.error for costs in self._costs.values()])

    def around(self, centre: Sequence[int]) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
        """Losses and costs as sums over groups, right where one group at a time leaves `centre`.

        Returns losses[g] and costs[k][g], [choices] each; the sums at `centre` are its beliefs.
        """
        groups = self.problem.space.groups
        middle = np.array([list(centre)])
        changes = Changes.of_each([np.array(group.choices) for group in groups])
        loss, used = self.changed(middle, changes)
        # Each row is of a whole candidate; their sum shall have the centre in it once.
        share = 1 - 1 / len(groups)
        loss, used = loss - self.loss(middle) * share, used - self.used(middle) * share
        ends = np.cumsum([len(group.choices) for group in groups])[:-1]
        return np.split(loss, ends), [np.split(column, ends) for column in used.T]


def priced(loss: np.ndarray, used: np.ndarray, *, aim: float, price: float) -> np.ndarray:
    """Loss [n], with a price on what of the cost [n, constraints] is over the aim; [n]."""
    # Of one constraint there is nothing to compare, which numpy is slow to find.
    worst = used[..., 0] if used.shape[-1] == 1 else used.max(axis=-1)
    return np.asarray(loss + price * np.maximum(0.0, worst - aim))
