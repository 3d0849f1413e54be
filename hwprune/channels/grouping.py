"""From tied atoms to channel groups: runs of units that lie side by side wherever they appear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hwprune.channels.atoms import Labels, runs
from hwprune_device.plan import STAYS, Span

_FROZEN = -1


class Grouping:
    """Units (tied atoms) numbered so that neighbours on an axis have neighbouring numbers.

    Two neighbouring units are in one group when they are neighbours, with equal share, on every
    axis where either appears. So a group is one contiguous span wherever it is, and its width
    alone tells every shape: the two padded ends and the middle of an option-A shortcut are three
    groups.

    Args:
        root: component by atom.
        frozen: components that stay.
        sites: labels of every axis, or piece of one, whose size a cut changes.
    """

    def __init__(self, root: np.ndarray, frozen: set[int], sites: Sequence[Labels]) -> None:
        self._unit = _units(root, frozen, sites)
        count = int(self._unit.max(initial=_FROZEN)) + 1
        linked = _linked(count, [self._unit[site] for site in sites])
        starts = np.flatnonzero(~linked[:-1]) if count else np.arange(0)
        self._group_of = np.cumsum(~linked[:-1]) - 1 if count else np.arange(0)
        self._start_of = starts
        self.widths = np.diff(np.append(starts, count)).tolist()

    def groups_of(self, labels: Labels) -> list[int]:
        """Groups on an axis, in order of appearance."""
        units = self._unit[labels]
        return list(dict.fromkeys(self._group_of[units[units != _FROZEN]].tolist()))

    def spans(self, labels: Labels, number: dict[int, int]) -> tuple[Span, ...]:
        """The spans that cover an axis; groups without a number stay."""
        spans: list[Span] = []
        stay = 0
        for unit, length in _pairs(self._unit[labels]):
            group = number.get(int(self._group_of[unit]), STAYS) if unit != _FROZEN else STAYS
            if group == STAYS:
                stay += length
                continue
            if stay:
                spans.append(Span(group=STAYS, start=0, count=stay))
                stay = 0
            inside = unit - int(self._start_of[self._group_of[unit]])
            last = spans[-1] if spans else None
            if last and last.group == group and last.repeat == length and inside == last.count:
                spans[-1] = Span(group=group, start=0, count=last.count + 1, repeat=length)
            else:
                spans.append(Span(group=group, start=inside, count=1, repeat=length))
        if stay:
            spans.append(Span(group=STAYS, start=0, count=stay))
        return tuple(spans)


def _pairs(units: np.ndarray) -> Iterable[tuple[int, int]]:
    if not len(units):
        return []
    ids, _, lengths = runs(units)
    return zip(ids.tolist(), lengths.tolist(), strict=True)


def _units(root: np.ndarray, frozen: set[int], sites: Sequence[Labels]) -> np.ndarray:
    """Number of the unit by atom; frozen for atoms that no site has."""
    seen = np.unique(root[np.concatenate(list(sites))]) if sites else np.arange(0)
    alive = seen[~np.isin(seen, list(frozen))]
    number = np.full(len(root), _FROZEN)
    number[alive] = np.arange(len(alive))
    return number[root]


def _linked(count: int, sites: Iterable[np.ndarray]) -> np.ndarray:
    """By unit, whether it and its predecessor are neighbours everywhere (last entry is spare)."""
    linked = np.ones(count + 1, dtype=bool)
    linked[0] = False
    for units in sites:
        if not len(units):
            continue
        ids, _, lengths = runs(units)
        padded = np.concatenate([[_FROZEN - 1], ids, [_FROZEN - 1]])
        sized = np.concatenate([[0], lengths, [0]])
        apart = (padded[1:] != padded[:-1] + 1) | (sized[1:] != sized[:-1])
        before, after = padded[:-1][apart], padded[1:][apart]
        linked[after[after >= 0]] = False
        linked[before[before >= 0] + 1] = False
    return linked
