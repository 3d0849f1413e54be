"""Method "uniform": every group cut to the same fraction, as many people do by hand."""

from __future__ import annotations

import numpy as np

from hwprune.candidate import Candidate, SearchSpace
from hwprune.search.evaluator import Evaluator

GRID = 401
"""Shares of full width that are tried, a quarter of a percent apart."""
NEIGHBOURS = 4
"""On each side of where the budget is met."""


def search(evaluator: Evaluator) -> None:
    """Narrow down to where the budget is kept, then evaluate outwards from there."""
    problem = evaluator.problem
    cuts = uniform_cuts(problem.space)
    low, high = 0, len(cuts) - 1
    while low < high and evaluator.left > 0:
        places = divisions(low, high, problem.boards)
        for place, answer in zip(
            places, evaluator.ask([cuts[i] for i in places], learning=False), strict=False
        ):
            # What fails counts as over the budget: smaller cuts are the safer side.
            if not answer.feasible:
                high = place - 1
                break
            low = place
    # Costs are noisy and not monotone in width, so neighbours on both sides may do better.
    outwards = [i for d in range(NEIGHBOURS + 1) for i in sorted({low - d, low + d})]
    evaluator.ask([cuts[i] for i in outwards if 0 <= i < len(cuts)], learning=False)


def divisions(low: int, high: int, count: int) -> list[int]:
    """Up to `count` places above `low` that part the way to `high` evenly; one place bisects."""
    way = high - low
    return sorted({low - (-way * i // (count + 1)) for i in range(1, count + 1)})


def uniform_cuts(space: SearchSpace) -> list[Candidate]:
    """All different uniform candidates, from the smallest to the unpruned."""
    cuts = (space.uniform(float(keep)) for keep in np.linspace(0, 1, GRID))
    return list(dict.fromkeys(cuts))
