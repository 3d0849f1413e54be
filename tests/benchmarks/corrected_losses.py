"""What searches of other networks teach of a loss table: a number for each width of each group.

A ridge regression over runs. Each run keeps how its harms add up to itself; what is shared says
how the losses of a group's cut hang on what is known of the group before anything is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwprune.search.loss_table import FLOOR, LossTable
from hwprune.search.problem import SearchProblem
from hwprune.tables.ridge import Ridge


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Groups:
    """What is known of a network's groups before anything is measured."""

    full: np.ndarray
    """[groups]."""
    features: np.ndarray
    """[groups, features], the first 1 everywhere."""
    harm: np.ndarray
    """[groups, widths]: all harms together are 1."""

    @classmethod
    def of(cls, problem: SearchProblem) -> Groups:
        """Of a search problem."""
        table = LossTable(problem.space.groups, problem.harm, problem.base_quality)
        ones = np.ones((len(problem.features), 1))
        return cls(
            full=table._full,
            features=np.concatenate([ones, problem.features], axis=1),
            harm=table._harm,
        )

    def apart(self) -> np.ndarray:
        """What each width of each group adds to the shared columns, [groups, widths, columns]."""
        cut = np.maximum(0.0, 1 - np.arange(self.harm.shape[1]) / self.full[:, None])
        share = 1 / len(self.full)  # losses of a uniform cut hang little on the number of groups
        kinds = np.stack([self.harm, share * cut, share * cut**2], axis=2)
        both = kinds[:, :, :, None] * self.features[:, None, None, :]
        return np.asarray(both.reshape(*kinds.shape[:2], -1))

    def columns(self, widths: np.ndarray) -> np.ndarray:
        """The shared columns of candidates [n, groups], [n, columns]."""
        return np.asarray(self.apart()[np.arange(len(self.full)), widths].sum(1))

    def own(self, widths: np.ndarray) -> np.ndarray:
        """A run's own columns: how its harms add up, and what all cuts lose, [n, 5]."""
        whole = self.harm[np.arange(len(self.full)), widths].sum(1)
        cut = (1 - widths / self.full).mean(1)
        return np.stack([np.sqrt(whole), whole, whole**2, cut, cut**2], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordedRun:
    """What one search evaluated."""

    groups: Groups
    widths: np.ndarray
    """[n, groups]."""
    quality: np.ndarray
    """[n], as a share of the unpruned network's."""


def learned(runs: Sequence[RecordedRun]) -> np.ndarray:
    """Coefficients of the shared columns, [columns]."""
    rows = sum(len(run.widths) for run in runs)
    shared = np.concatenate([run.groups.columns(run.widths) for run in runs])
    own = np.zeros((rows, 5 * len(runs)))
    at = 0
    for number, run in enumerate(runs):
        own[at : at + len(run.widths), 5 * number : 5 * number + 5] = run.groups.own(run.widths)
        at += len(run.widths)
    share = np.clip(np.concatenate([run.quality for run in runs]), FLOOR, 1.0)
    blocks = [(own, 5.0), (shared, 3.0)]
    ridge = Ridge()
    ridge.fit(blocks, -np.log(share), share**2)
    return ridge.coefficients(blocks)[1]


class CorrectedLosses(LossTable):
    """A loss table that leans on `before` as well, [groups, widths]."""

    before: np.ndarray
    """Set by who makes it: surrogates make their tables themselves."""

    def fit(self, widths: np.ndarray, quality: np.ndarray) -> None:
        """See `LossTable.fit`; what is learned is how the run differs from `before`."""
        share = np.clip(quality, FLOOR, 1.0) / self._base_quality
        widths = np.asarray(widths, int)
        told = self.before[np.arange(len(self._full)), widths].sum(1)
        blocks = self._rows(widths)
        self._ridge.fit(blocks, -np.log(share) - told, np.minimum(share, 1.0) ** 2)
        self._learn(blocks)
        self._alone = self._alone + self.before
