"""The search space and its points: a width for every channel group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChoice:
    """One channel group as the search sees it: its name and the widths that may be chosen."""

    name: str
    width: int
    """Width in the unpruned network."""
    choices: tuple[int, ...]
    """Allowed widths, ascending; the last one is `width` unless the group's width is fixed."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Candidate:
    """One choice: a width for each group, in the space's order."""

    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """The groups and, for each, the widths that may be chosen."""

    groups: tuple[GroupChoice, ...]

    @property
    def unpruned(self) -> Candidate:
        """Every group at full width; no point of a space in which a group is fixed at less."""
        return Candidate(widths=tuple(g.width for g in self.groups))

    @property
    def widest(self) -> Candidate:
        """Every group at its largest allowed width."""
        return Candidate(widths=tuple(g.choices[-1] for g in self.groups))

    @property
    def smallest(self) -> Candidate:
        """Every group at its smallest allowed width."""
        return Candidate(widths=tuple(g.choices[0] for g in self.groups))

    @property
    def size(self) -> float:
        """How many candidates there are (a float: it is often astronomic)."""
        total = 1.0
        for group in self.groups:
            total *= len(group.choices)
        return total

    def nearest(self, keep: Sequence[float]) -> Candidate:
        """The candidate whose widths are nearest to the fractions `keep` of full width."""
        return Candidate(
            widths=tuple(
                # Of two that are as near the narrower one; the defaults bind this turn's g and k.
                min(g.choices, key=lambda w, g=g, k=k: (abs(w - k * g.width), w))  # type: ignore[misc]
                for g, k in zip(self.groups, keep, strict=True)
            )
        )

    def uniform(self, keep: float) -> Candidate:
        """Every group cut to the same fraction."""
        return self.nearest([keep] * len(self.groups))
