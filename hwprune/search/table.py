"""The table: what is believed about accuracy and cost of candidates that were not evaluated.

Ridge regressions on every evaluation so far: the logarithm of accuracy lost, and cost over limit,
each as a smooth curve per group; cost also leans on the problem's own estimate. Their strength is
chosen by leave-one-out error. They answer in microseconds, and know how far they err.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwprune.evaluation import Evaluation
from hwprune.search.problem import SearchProblem
from hwprune.search.ridge import Ridge

BLOCKS = (1, 8, 16)
"""Channels a board may compute at a time; the regression finds which of them it does."""
FLOOR = 0.03
"""Accuracies below this are taken as this: their logarithm says nothing."""


class Table:
    """Beliefs about one problem; `fit` as evaluations come in."""

    def __init__(self, problem: SearchProblem) -> None:
        self.problem = problem
        groups = problem.space.groups
        self._full = np.array([g.width for g in groups], float)
        self._estimates: dict[tuple[int, ...], float] = {}
        self.known = False
        """Whether anything was fitted yet."""
        self._loss = Ridge()
        self._costs = {label: Ridge() for label in problem.constraints}

    def fit(self, evaluations: Sequence[Evaluation]) -> None:
        """Believe these evaluations, all of them, and nothing else."""
        good = [e for e in evaluations if e.failure is None]
        if not good:
            return
        self.known = True
        widths = np.array([e.candidate.widths for e in good])
        accuracy = np.clip([e.accuracy or 0.0 for e in good], FLOOR, 1.0)
        share = accuracy / self.problem.base_accuracy
        # An error of a point weighs more in the logarithm of a low accuracy: trust those less.
        self._loss.fit(self._loss_rows(widths), -np.log(share), np.minimum(share, 1.0) ** 2)
        rows = self._cost_rows(widths)
        for label, ridge in self._costs.items():
            used = np.array([1 + e.excess[label] for e in good])
            # Sums of costs hold only near where they were read: what is near the limit counts.
            ridge.fit(rows, used, np.exp(-(((used - 1) / 0.3) ** 2)) + 0.03)

    def _loss_rows(self, widths: np.ndarray) -> list[tuple[np.ndarray, float]]:
        """Blocks of columns and how far their coefficients may stray, for widths [n, groups]."""
        cut = 1 - widths / self._full
        square = cut**2
        return [
            (np.stack([cut.sum(1), square.sum(1)], axis=1) / np.sqrt(cut.shape[1]), 3.0),
            # Losses of a cut start flat and grow steep: squares may stray more than lines.
            (cut, 0.15),
            (square, 1.0),
        ]

    def _cost_rows(self, widths: np.ndarray) -> list[tuple[np.ndarray, float]]:
        cut = 1 - widths / self._full
        # Boards compute in blocks of channels: a started block costs as much as a full one.
        padded = [
            np.minimum(np.ceil(widths / block) * block, self._full).astype(int) for block in BLOCKS
        ]
        guesses = [[self._estimate(tuple(row)) for row in rows.tolist()] for rows in padded]
        whole = np.stack([np.ones(len(widths)), *map(np.array, guesses)], axis=1)
        stairs = 1 - padded[-1] / self._full
        return [(whole, 30.0), (cut, 1.0), (cut**2, 0.5), (stairs, 1.0)]

    def _estimate(self, widths: tuple[int, ...]) -> float:
        if widths not in self._estimates:
            if len(self._estimates) > 100_000:
                self._estimates.clear()
            self._estimates[widths] = self.problem.estimate(widths)
        return self._estimates[widths]

    def loss(self, widths: np.ndarray) -> np.ndarray:
        """Believed loss, -log(accuracy / base accuracy), of widths [n, groups]; [n]."""
        return self._loss.predict(self._loss_rows(widths))

    def accuracy(self, widths: np.ndarray) -> np.ndarray:
        """Believed accuracy, 0..1, of widths [n, groups]; [n]."""
        return np.clip(self.problem.base_accuracy * np.exp(-self.loss(widths)), 0.0, 1.0)

    def used(self, widths: np.ndarray) -> np.ndarray:
        """Believed cost over limit, 1 at the limit, of widths [n, groups]; [n, constraints]."""
        rows = self._cost_rows(widths)
        return np.stack([r.predict(rows) for r in self._costs.values()], axis=1)

    def used_error(self) -> np.ndarray:
        """Typical error of `used` on a candidate it has not seen, [constraints]."""
        return np.array([r.error for r in self._costs.values()])

    def around(self, centre: Sequence[int]) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
        """Losses and costs as sums over groups, right where one group at a time leaves `centre`.

        Returns losses[g] and costs[k][g], [choices] each; the sums at `centre` are its beliefs.
        """
        groups = self.problem.space.groups
        rows = np.array(
            [
                [*centre[:g], w, *centre[g + 1 :]]
                for g, group in enumerate(groups)
                for w in group.choices
            ]
        )
        middle = np.array([list(centre)])
        ends = np.cumsum([len(g.choices) for g in groups])[:-1]
        share = 1 - 1 / len(groups)
        loss = self.loss(rows) - self.loss(middle) * share
        used = self.used(rows) - self.used(middle) * share
        return np.split(loss, ends), [np.split(column, ends) for column in used.T]
