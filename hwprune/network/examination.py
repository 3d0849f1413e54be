"""The examination of a cut plan: drawings are made and cuts tried until every group was seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from hwprune.channels.base import BaseNetwork
from hwprune.network.drawing import Drawing, draw
from hwprune.network.trial import Trial

LEAST = 1e-6
"""An influence that can be seen: what is wrong there is a thousand times the tolerance."""
_NONE = 1e-14
"""Rounding of an influence that cancels out whatever the weights are, as a bias of keys does."""
_DRAWS = 4
"""Drawings at most, where the first leave something unseen."""
_PLANNED = ((10**7, 2, 4), (10**8, 2, 2), (10**9, 1, 2))
"""Up to so many MACs: drawings, and candidates on each. Beyond, one candidate has to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What an examination found out about the groups of a plan."""

    failed: tuple[str, ...]
    """A cut of them computes something else."""
    unjudged: tuple[str, ...]
    """They move the outputs so little that a wrong cut would not be seen."""
    candidates: int
    worst_error: float
    """Of the cuts without those groups."""
    keep: Mapping[str, np.ndarray]
    """Units by group, of one candidate."""


def examine(base: BaseNetwork, seeds: Iterable[int] = ()) -> Findings:
    """Try the cut plan of a network.

    Args:
        base: the network.
        seeds: of the drawings; by default as many as its size allows, more where needed.

    Raises:
        NetworkError: the graph has an op that torch's side does not know.
    """
    draws, each = _planned(base.cost_model.macs(base.widths))
    given = list(seeds)
    planned = given or list(range(draws))
    sight = _Sight(base)
    left, failed, worst, candidates = list(range(len(base.plan.groups))), list[int](), 0.0, 0
    # Past the planned drawings each costs one trial, and only where something is unseen.
    for seed in planned if given else range(_DRAWS):
        if seed not in planned and not sight.unseen(left):
            break
        drawing = draw(base, seed)
        sight.add(drawing)
        for number in range(each if seed in planned else 1):
            # `number` stays below _DRAWS, so no two trials of a plan keep the same units by seed.
            trial = Trial(base, drawing, seed * _DRAWS + number)
            found = trial.faults(left)
            failed += found
            # A group that failed once is out: in later trials it would hide the faults of others.
            left = [group for group in left if group not in found]
            worst, candidates = max(worst, trial.error(left)), candidates + 1
    names = [group.name for group in base.plan.groups]
    # An effect of exactly nothing is that of channels which no output is made of.
    unjudged = [g for g, axes in sight.unseen(left).items() if 0 < trial.effect(g, axes) < LEAST]
    return Findings(
        failed=tuple(names[group] for group in sorted(failed)),
        unjudged=tuple(names[group] for group in unjudged),
        candidates=candidates,
        worst_error=worst,
        keep=dict(zip(names, trial.keep, strict=True)),
    )


def _planned(macs: int) -> tuple[int, int]:
    return next(((draws, each) for most, draws, each in _PLANNED if macs < most), (1, 1))


class _Sight:
    """What of each group could be seen at the outputs in any drawing so far."""

    def __init__(self, base: BaseNetwork) -> None:
        self._axes: dict[int, list[int]] = {number: [] for number in range(len(base.widths))}
        for position, cut in enumerate(base.plan.axes):
            for group in {span.group for span in cut.spans if span.group >= 0}:
                self._axes[group].append(position)
        self._influence: dict[tuple[int, int], float] = {}

    def add(self, drawing: Drawing) -> None:
        """Note what a drawing shows."""
        for place, moved in drawing.influence.items():
            self._influence[place] = max(moved, self._influence.get(place, 0.0))

    def unseen(self, groups: Iterable[int]) -> dict[int, list[int]]:
        """By group with such, its axes that were not seen; all of a group without slopes."""
        found = {}
        for group in groups:
            known = {
                a: self._influence[a, group] for a in self._axes[group] if self._known(a, group)
            }
            weak = [axis for axis, moved in known.items() if not _is_judged(moved)]
            if weak or not any(moved >= LEAST for moved in known.values()):
                found[group] = weak or self._axes[group]
        return found

    def _known(self, axis: int, group: int) -> bool:
        return (axis, group) in self._influence


def _is_judged(moved: float) -> bool:
    """Whether it is seen, or cancels out: a path that is switched off (exactly 0) does neither."""
    return moved >= LEAST or 0 < moved < _NONE
