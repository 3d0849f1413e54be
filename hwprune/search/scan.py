"""The sensitivity scan: the unpruned network with one group cut at a time."""

from __future__ import annotations

from hwprune.candidate import Candidate, SearchSpace


def scan_candidates(space: SearchSpace, levels: int, limit: int) -> list[Candidate]:
    """The widest candidate, then each group alone at `levels` widths, deepest cuts first.

    At most `limit` candidates: where the allowance ends within a level, groups are taken evenly
    spread over the depth.
    """
    full = space.widest.widths
    found = {space.widest: None}
    for level in range(levels):
        order = [g for g, group in enumerate(space.groups) if len(group.choices) > level + 1]
        room = limit - len(found)
        if room < len(order):
            order = [order[i * len(order) // room] for i in range(room)] if room > 0 else []
        for g in order:
            width = _cut(space.groups[g].choices, level, levels)
            found[Candidate(widths=(*full[:g], width, *full[g + 1 :]))] = None
    return list(found)[:limit]


def _cut(choices: tuple[int, ...], level: int, levels: int) -> int:
    """The width of a level: level 0 is about half of what can be cut, or the middle of several."""
    below = len(choices) - 1
    return choices[below * (level + 1) // (levels + 1)]
