"""What is measured for a table, and in which order: what is learned most from comes first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwprune.tables.table import Role

Widths = tuple[int, ...]
Choices = Sequence[Sequence[int]]
"""By group, the widths that may be chosen, ascending."""
FIRST, ROUND, ROUNDS = 10, 8, 3
"""Whole networks before anything else; candidates of a block in each of its rounds."""
WHOLE = 100
"""Whole networks learned from in all: with 40 the error was up to half a percent point larger
(bench_latency_table)."""
POOL = 200
"""Random candidates of a block of which the one that is farthest from all others comes next."""
LEAST_KEEP = 0.125
"""Share of each group that random candidates keep at least, as far as its choices allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Candidates of one network, measured together."""

    network: int
    """0: the table's own; else the number of a block's window, from 1."""
    role: Role
    candidates: tuple[Widths, ...]


def steps_of(
    own: Choices, blocks: Sequence[Choices], *, held_out: int, seed: int
) -> tuple[Step, ...]:
    """All steps of a table, in order.

    A few whole networks give the scale, and some that are only predicted how far a table errs;
    then each block is measured all over its widths; the rest alternates. Ending after any step
    leaves a table, and after the second one that knows its error.
    """
    unseen, whole = _parted(own, WHOLE, held_out, seed)
    points = [spread(choices, ROUND * ROUNDS, seed) for choices in blocks]
    half = (held_out + 1) // 2
    steps = [Step(network=0, role="network", candidates=tuple(whole[:FIRST]))]
    steps.append(Step(network=0, role="held out", candidates=tuple(unseen[:half])))
    steps += _round(points, 0)
    steps += _round(points, 1)
    steps.append(Step(network=0, role="held out", candidates=tuple(unseen[half:])))
    steps.append(Step(network=0, role="network", candidates=tuple(whole[FIRST : WHOLE // 2])))
    steps += _round(points, 2)
    steps.append(Step(network=0, role="network", candidates=tuple(whole[WHOLE // 2 : WHOLE])))
    return tuple(step for step in steps if step.candidates)


def few_steps_of(own: Choices, readings: int, *, held_out: int, seed: int) -> tuple[Step, ...]:
    """Steps where another board's table is begun from: some whole networks, and those held out."""
    unseen, whole = _parted(own, readings, held_out, seed)
    steps = (
        Step(network=0, role="network", candidates=tuple(whole)),
        Step(network=0, role="held out", candidates=tuple(unseen)),
    )
    return tuple(step for step in steps if step.candidates)


def drawn(choices: Choices, chance: np.random.Generator) -> Widths:
    """A random candidate: its groups cut independently, or all to about the same share."""
    full = np.array([group[-1] for group in choices], float)
    keep = chance.uniform(LEAST_KEEP, 1, len(full))
    # Independent cuts average out, and would all cost about the same.
    if chance.random() < 0.5:
        keep = np.clip(keep[:1] + chance.normal(0, 0.2, len(full)), LEAST_KEEP, 1)
    return tuple(
        min(group, key=lambda w, k=k: abs(w - k))  # type: ignore[misc]
        for group, k in zip(choices, keep * full, strict=True)
    )


def spread(choices: Choices, count: int, seed: int) -> list[Widths]:
    """Candidates all over a block's widths, each as far as can be from those before it.

    The unpruned block is first, then the narrowest; where there are not as many, all of them.
    """
    if not choices:
        return [()]
    chance = np.random.default_rng([seed, 3])
    full = np.array([group[-1] for group in choices], float)
    ends = [tuple(group[-1] for group in choices), tuple(group[0] for group in choices)]
    found = list(dict.fromkeys(ends))
    while len(found) < count:
        pool = _distinct(lambda: _anywhere(choices, chance), POOL)
        away = [np.abs((np.array(pool) - np.array(f)) / full).sum(axis=1) for f in found]
        nearest = np.min(away, axis=0)
        # Everything that the pool holds is there already: the space is exhausted.
        if nearest.max() == 0:
            break
        found.append(pool[int(nearest.argmax())])
    return found[:count]


def _parted(
    own: Choices, learned: int, held_out: int, seed: int
) -> tuple[list[Widths], list[Widths]]:
    """Candidates that are only predicted, and up to `learned` others.

    The unpruned network is neither: it is read and learned from in any case. Of a small space at
    most a third is held out.
    """
    full = tuple(group[-1] for group in own)
    # By a stream of its own, what is held out does not change with how many are learned from.
    chance, learn = (np.random.default_rng([seed, stream]) for stream in (1, 2))
    size = math.prod(map(len, own))
    most = min(size, learned + held_out)
    whole = [w for w in _distinct(lambda: drawn(own, learn), most) if w != full]
    unseen = _distinct(lambda: drawn(own, chance), min(size, held_out + 1))
    unseen = [w for w in unseen if w != full][: min(held_out, size // 3)]
    return unseen, [w for w in whole if w not in unseen][:learned]


def _round(points: Sequence[Sequence[Widths]], number: int) -> list[Step]:
    return [
        Step(
            network=block + 1,
            role="block",
            candidates=tuple(mine[number * ROUND : (number + 1) * ROUND]),
        )
        for block, mine in enumerate(points)
    ]


def _anywhere(choices: Choices, chance: np.random.Generator) -> Widths:
    return tuple(int(chance.choice(group)) for group in choices)


def _distinct(draw: Callable[[], Widths], count: int) -> list[Widths]:
    """Different draws; fewer where a small space has not as many."""
    found: dict[Widths, None] = {}
    for _ in range(10 * count):
        if len(found) == count:
            break
        found[draw()] = None
    return list(found)
