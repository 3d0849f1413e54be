"""Atoms: one id for each index of an axis. Tied ones are only cut together, frozen ones never."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

Labels = np.ndarray
"""Atom ids along one axis, int64."""


class Atoms:
    """Makes atoms, ties them, freezes them with a reason, and finds what hangs together."""

    def __init__(self) -> None:
        self._count = 0
        self._ties: list[tuple[Labels, Labels]] = []
        self._frozen: list[tuple[Labels, str]] = []

    def new(self, size: int) -> Labels:
        """Fresh atoms for an axis of this size."""
        labels = np.arange(self._count, self._count + size)
        self._count += size
        return labels

    def tie(self, first: Labels, second: Labels) -> None:
        """Index i of one axis and index i of the other are one thing."""
        self._ties.append((first, second))

    def tie_rows(self, rows: Labels) -> None:
        """All of a row of a matrix of labels is one thing."""
        self.tie(np.repeat(rows[:, 0], rows.shape[1] - 1), rows[:, 1:].reshape(-1))

    def freeze(self, labels: Labels, reason: str) -> None:
        """These indices stay; an empty reason is for what nobody expects to be cut."""
        self._frozen.append((labels, reason))

    def components(self) -> np.ndarray:
        """By atom, the smallest atom it is tied to over any number of steps."""
        root = np.arange(self._count)
        if not self._ties:
            return root
        first = np.concatenate([a for a, _ in self._ties])
        second = np.concatenate([b for _, b in self._ties])
        while True:
            low = np.minimum(root[first], root[second])
            differ = root[first] != root[second]
            if not differ.any():
                return root
            # Hang both roots under the smaller one, then shorten every path to its end.
            np.minimum.at(root, root[first][differ], low[differ])
            np.minimum.at(root, root[second][differ], low[differ])
            while (root != root[root]).any():
                root = root[root]

    def frozen_roots(self, root: np.ndarray) -> dict[int, list[str]]:
        """Reasons by frozen component; the first one given comes first."""
        reasons: dict[int, list[str]] = {}
        for labels, reason in self._frozen:
            for component in np.unique(root[labels]).tolist():
                known = reasons.setdefault(component, [])
                if reason and reason not in known:
                    known.append(reason)
        return reasons


def units_by_row(grid: Labels) -> int:
    """How many rows of components are left apart when all of a row goes together."""
    # Ids from 0 on, so that the count below hangs on this grid and not on the whole network.
    ids = np.unique(grid, return_inverse=True)[1].reshape(grid.shape[0], -1)
    atoms = Atoms()
    atoms.new(int(ids.max()) + 1)
    atoms.tie_rows(ids)
    return len(np.unique(atoms.components()[ids[:, 0]]))


def runs(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equal neighbours as runs: the id, the first index and the length of each."""
    edges = np.flatnonzero(np.diff(ids)) + 1
    starts = np.concatenate([[0], edges])
    lengths = np.diff(np.concatenate([starts, [len(ids)]]))
    return ids[starts], starts, lengths


def joined(parts: Iterable[Labels]) -> Labels:
    """Labels of an axis made of parts, also of none."""
    listed = list(parts)
    return np.concatenate(listed) if listed else np.arange(0)
