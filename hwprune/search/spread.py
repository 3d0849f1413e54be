"""The spread: candidates all over the space, from nearly whole to well below the budget.

One group cut alone loses next to nothing in a deep network, less than the noise of its score; what
counts is how groups lose together. Candidates in which every group is cut at random show all
groups at once: with n of them each group's effect is known as if it had been tried n / 2 times.
"""

from __future__ import annotations

import numpy as np

from hwprune.candidate import Candidate
from hwprune.search.problem import SearchProblem
from hwprune.search.random_search import scaled

LEVELS = (0.9, 0.35)
"""Estimated cost of the first and the last candidate, as shares of the unpruned network's."""
MIXED = 0.7
"""How much of a direction is random; the rest is the same for all groups."""


def spread_candidates(problem: SearchProblem, count: int) -> list[Candidate]:
    """The widest candidate, then `count - 1` random ones at evenly falling estimated cost."""
    chance = np.random.default_rng([problem.seed, 5])
    found = {problem.space.widest: None}
    for level in np.linspace(*LEVELS, max(1, count - 1)):
        direction = MIXED * chance.random(len(problem.space.groups)) + (1 - MIXED) / 2
        found[scaled(problem, direction, float(level))] = None
    return list(found)[:count]
