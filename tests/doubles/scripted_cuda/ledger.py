"""What is alive on a scripted GPU, so that a test can say that everything was freed."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that somebody has to free."""

    kind: str
    context: int
    """The CUDA context it lives in; 0 for what needs none."""


class Ledger:
    """Opened and closed by the simulators alone; tests read it."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, Entry] = {}
        self.orphaned: Counter[str] = Counter()
        """By kind: what was still alive when its context was destroyed, which a real GPU may or
        may not survive."""

    def open(self, kind: str, *, context: int = 0) -> int:
        """Note that something now has to be freed; the number is for `close`."""
        number = next(self._numbers)
        self._open[number] = Entry(kind=kind, context=context)
        return number

    def close(self, number: int) -> None:
        """Note that it was freed; closing twice is nothing."""
        self._open.pop(number, None)

    def orphan(self, context: int) -> None:
        """A context is gone and took what lived in it along."""
        lost = [number for number, entry in self._open.items() if entry.context == context]
        self.orphaned.update(self._open.pop(number).kind for number in lost)

    @property
    def alive(self) -> dict[str, int]:
        """How many of each kind are alive; kinds without any are left out."""
        counts = Counter(entry.kind for entry in self._open.values())
        return dict(sorted(counts.items()))
