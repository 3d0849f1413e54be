"""Method "uniform": every group cut to the same fraction, as many people do by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hwprune.candidate import Candidate, SearchSpace
from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem
from hwprune.search.turn import Turn

METHOD = "uniform"
GRID = 401


def search(
    problem: SearchProblem,
    evaluator: Evaluator,
    *,
    progress: Progress,
    checkpoint: Path | None = None,
) -> list[dict[str, Any]]:
    """Bisect to where the budget is kept, then evaluate outwards from there."""
    turn = Turn(METHOD, evaluator, progress)
    cuts = uniform_cuts(problem.space)
    low, high = 0, len(cuts) - 1
    while low < high and turn.left > 0:
        middle = (low + high + 1) // 2
        answer = turn.ask([cuts[middle]])
        # What fails counts as over the budget: smaller cuts are the safer side.
        if answer[0].feasible:
            low = middle
        else:
            high = middle - 1
    # Costs are noisy and not monotone in width, so neighbours on both sides may do better.
    for distance in range(len(cuts)):
        around = {low - distance, low + distance}
        turn.ask([cuts[i] for i in sorted(around) if 0 <= i < len(cuts)])
        if turn.left == 0:
            break
    return []


def uniform_cuts(space: SearchSpace) -> list[Candidate]:
    """All different uniform candidates, from the smallest to the unpruned."""
    cuts = (space.uniform(float(keep)) for keep in np.linspace(0, 1, GRID))
    return list(dict.fromkeys(cuts))
