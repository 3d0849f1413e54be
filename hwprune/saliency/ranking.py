"""The ranking: for every group, its units from the most to the least important."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwprune.candidate import GroupChoice
from hwprune.errors import InputError
from hwprune.saliency.criteria import CRITERIA, Subject

if TYPE_CHECKING:
    from torch import nn

    from hwprune.channels.base import BaseNetwork
    from hwprune.network.data import Data

WITHOUT_DATA = ("l1", "l2", "bn_gamma", "random")
"""Criteria that never look at data, so a cached ranking of theirs holds for any data."""


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
        lost = [np.concatenate([[0.0], np.cumsum(np.sort(scores))]) for scores in self.scores]
        return tuple(
            row[[group.width - width for width in group.choices]]
            for group, row in zip(groups, lost, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "criterion": self.criterion,
            "order": [units.tolist() for units in self.order],
            "scores": [values.tolist() for values in self.scores],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Ranking:
        """The inverse of `to_json`."""
        return cls(
            criterion=data["criterion"],
            order=tuple(np.array(units, np.int64) for units in data["order"]),
            scores=tuple(np.array(values, np.float64) for values in data["scores"]),
        )


def rank(
    base: BaseNetwork,
    data: Data | None,
    criterion: str = "l1",
    *,
    module: nn.Module | None = None,
    cache: Path | None = None,
    seed: int = 0,
) -> Ranking:
    """Rank the units of every group of a base network.

    Args:
        base: the unpruned network.
        data: its data; None will do for criteria that look at weights alone.
        criterion: a key of `criteria.CRITERIA`.
        module: the base's torch twin where the caller has it already; its mode changes.
        cache: a folder; the ranking is read from there, or kept there.
        seed: of the images that are drawn, and of `random`.

    Raises:
        InputError: there is no such criterion, or it needs data.
    """
    if criterion not in CRITERIA:
        raise InputError(
            f"there is no saliency '{criterion}'", possible=", ".join(sorted(CRITERIA))
        )
    content = "" if data is None or criterion in WITHOUT_DATA else data.content_hash
    key = hashlib.sha256(f"{base.base_id} {criterion} {seed} {content}".encode()).hexdigest()
    file = cache / f"ranking-{criterion}-{key[:16]}.json" if cache else None
    if file is not None and (known := _read(file, base.plan.widths)) is not None:
        return known
    if module is None:
        from hwprune.network.graph_module import to_module

        module = to_module(base.onnx)
    scores = CRITERIA[criterion](Subject(module=module, plan=base.plan, data=data, seed=seed))
    ranking = Ranking(
        criterion=criterion,
        # Stable, so that equal scores keep the network's own order everywhere.
        order=tuple(np.argsort(-values, kind="stable") for values in scores),
        scores=tuple(scores),
    )
    if file is not None:
        _write(file, ranking)
    return ranking


def _read(file: Path, widths: Sequence[int]) -> Ranking | None:
    """A cached ranking; None where there is none, or what is there is damaged."""
    try:
        known = Ranking.from_json(json.loads(file.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fits = tuple(len(set(units.tolist())) for units in known.order) == tuple(widths)
    return known if fits else None


def _write(file: Path, ranking: Ranking) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".half")
    half.write_text(json.dumps(ranking.to_json()))
    os.replace(half, file)
