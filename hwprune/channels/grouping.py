"""From tied atoms to channel groups: runs of units that lie side by side wherever they appear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hwprune.channels.atoms import Labels, runs
from hwprune_device.plan import STAYS, Span

_FROZEN = -1


class Grouping:
    """Units (tied atoms) numbered so that neighbours on an axis have neighbouring numbers.

    Two neighbouring units are in one group when they are neighbours, with equal share, on every
    axis where either appears. So a group is one contiguous span wherever it is, and its width
    alone gives every shape: the two padded ends and the middle of an option-A shortcut are three
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

    def numbers(self, number: Mapping[int, int]) -> np.ndarray:
        """Numbers of groups as `spans` takes them; groups without one stay."""
        numbers = np.full(len(self.widths) + 1, STAYS)
        numbers[list(number)] = list(number.values())
        return numbers

    def spans(self, labels: Labels, numbers: np.ndarray) -> tuple[Span, ...]:
        """The spans that cover an axis, with their groups' `numbers`."""
        if not len(labels):
            return ()
        units, _, lengths = runs(self._unit[labels])
        frozen = units == _FROZEN
        # -1 picks the spare last entry of `numbers`, which stays.
        groups = np.where(frozen, -1, self._group_of[units]) if len(self._group_of) else units
        group = numbers[groups]
        # Runs of one span repeat each unit equally often; `repeat` is one number.
        follows = (units[1:] == units[:-1] + 1) & (lengths[1:] == lengths[:-1])
        together = (group[1:] == group[:-1]) & (follows | (group[1:] == STAYS))
        starts = np.concatenate([[0], np.flatnonzero(~together) + 1])
        sizes = np.add.reduceat(lengths, starts).tolist()
        return tuple(
            Span(group=STAYS, start=0, count=size)
            if group[at] == STAYS
            else Span(
                group=int(group[at]),
                start=int(units[at] - self._start_of[groups[at]]),
                count=size // int(lengths[at]),
                repeat=int(lengths[at]),
            )
            for at, size in zip(starts.tolist(), sizes, strict=True)
        )


def _units(root: np.ndarray, frozen: set[int], sites: Sequence[Labels]) -> np.ndarray:
    """Number of the unit by atom; frozen for atoms that no site has."""
    seen = np.unique(root[np.concatenate(list(sites))]) if sites else np.arange(0)
    # In the order of their smallest atoms: units of one axis are numbered as they lie on it.
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
        # Nothing follows -2 but the frozen, so every axis begins and ends with a break.
        padded = np.concatenate([[_FROZEN - 1], ids, [_FROZEN - 1]])
        sized = np.concatenate([[0], lengths, [0]])
        apart = (padded[1:] != padded[:-1] + 1) | (sized[1:] != sized[:-1])
        before, after = padded[:-1][apart], padded[1:][apart]
        linked[after[after >= 0]] = False
        linked[before[before >= 0] + 1] = False
    return linked
