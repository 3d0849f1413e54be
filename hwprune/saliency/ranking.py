"""The ranking: for every group, its units from the most to the least important."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwprune.candidate import GroupChoice
from hwprune.progress import Progress, Silent
from hwprune.saliency.cache import cache_file, read_cache, write_cache
from hwprune.saliency.criteria import find_criterion
from hwprune.saliency.registry import Subject
from hwprune.stored import as_noun

if TYPE_CHECKING:
    from torch import nn

    from hwprune.channels.base import BaseNetwork
    from hwprune.task.task import Task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """Which units of a group stay when it is cut to a width: always the first of its order."""

    criterion: str
    order: tuple[np.ndarray, ...]
    """By group: all its units, the most important first."""
    scores: tuple[np.ndarray, ...]
    """By group and unit; higher means more important. Groups cannot be compared by it."""

    def keep(self, widths: Sequence[int]) -> list[np.ndarray]:
        """The units that stay, ascending, for a width of each group."""
        return [
            np.sort(units[: int(width)]) for units, width in zip(self.order, widths, strict=True)
        ]

    def harm(self, groups: Sequence[GroupChoice]) -> tuple[np.ndarray, ...]:
        """By group, [choices]: the scores of the channels that go at each of its widths, added up.

        How far groups can be compared by it depends on the criterion.
        """
        # lost[g][k]: the k lowest scores of group g added up.
        lost = [np.concatenate([[0.0], np.cumsum(np.sort(scores))]) for scores in self.scores]
        return tuple(
            row[[group.width - width for width in group.choices]]
            for group, row in zip(groups, lost, strict=True)
        )

    def with_scores(self, criterion: str, scores: Mapping[int, np.ndarray]) -> Ranking:
        """This ranking, with some groups ordered by another criterion's scores."""
        if not scores:
            return self
        mixed = [scores.get(group, own) for group, own in enumerate(self.scores)]
        return Ranking(
            criterion=f"{self.criterion}, {criterion}",
            order=tuple(
                _order(scores[group]) if group in scores else own
                for group, own in enumerate(self.order)
            ),
            scores=tuple(mixed),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "criterion": self.criterion,
            "order": [units.tolist() for units in self.order],
            "scores": [values.tolist() for values in self.scores],
        }

    @classmethod
    def from_json(cls, data: Any) -> Ranking:
        """The inverse of `to_json`.

        Raises:
            ValueError: it is something else.
        """
        kept = as_noun(_Kept, data)
        for units, values in zip(kept.order, kept.scores, strict=True):
            if sorted(units) != list(range(len(values))):
                raise ValueError("an order that does not name each unit once")
        return cls(
            criterion=kept.criterion,
            order=tuple(np.array(units, np.int64) for units in kept.order),
            scores=tuple(np.array(values, np.float64) for values in kept.scores),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the cache holds of a ranking."""

    criterion: str
    order: tuple[tuple[int, ...], ...]
    scores: tuple[tuple[float, ...], ...]


def rank(
    base: BaseNetwork,
    task: Task | None,
    criterion: str = "l1",
    *,
    module: nn.Module | None = None,
    cache: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ranking:
    """Rank the units of every group of a base network.

    Args:
        base: the unpruned network.
        task: what it is for; None will do for criteria of weights alone.
        criterion: a name that `criteria.find_criterion` knows.
        module: the base's torch twin where the caller has it already; its mode changes.
        cache: a folder; the ranking is read from there, or kept there.
        seed: of the images that are drawn, and of `random`.
        progress: receives each batch of images that the criterion reads.

    Raises:
        InputError: there is no such criterion, or it needs data.
    """
    found = find_criterion(criterion)
    # A ranking by weights alone is kept for any data.
    seen = task if found.needs_data else None
    file = cache_file(cache, "ranking", criterion, base, seen, seed) if cache else None
    if file is not None and (known := _read(file, base.plan.widths)) is not None:
        return known
    from hwprune.network.graph_module import named_gradients, to_module

    if module is None:
        # An op that nobody computes here is no reason not to rank by weights.
        module = to_module(base.onnx, runs=found.needs_data)
    progress, stage = progress or Silent(), f"rank channels by {criterion}"
    if not found.needs_data:
        progress.begin(stage, None)  # else the criterion says how many images it looks at
    subject = Subject(
        module=module, plan=base.plan, task=task, seed=seed, progress=progress, stage=stage
    )
    with named_gradients():
        scores = found(subject)
    ranking = Ranking(
        criterion=criterion,
        order=tuple(map(_order, scores)),
        scores=tuple(scores),
    )
    progress.end(f"{sum(base.plan.widths)} units")
    if file is not None:
        write_cache(file, ranking.to_json())
    return ranking


def _order(scores: np.ndarray) -> np.ndarray:
    """Units by falling score; stable: equal ones keep the network's own order everywhere."""
    return np.argsort(-scores, kind="stable")


def _read(file: Path, widths: Sequence[int]) -> Ranking | None:
    """A cached ranking; None where there is none, or what is there is damaged."""
    try:
        known = Ranking.from_json(read_cache(file))
    except ValueError:
        return None
    return known if tuple(map(len, known.order)) == tuple(widths) else None
