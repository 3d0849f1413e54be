"""Method "random": random directions, each scaled until the budget should be kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation
from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem
from hwprune.search.turn import Turn

METHOD = "random"
BATCH = 5
NEAR, AROUND = (0.92, 1.0), (0.6, 1.4)
"""Shares of the target within which candidates are drawn."""
ROUNDS = 4
"""Where the budget lies is all there is to learn, and the first batch tells most of it."""
STALE = 200
"""Draws in a row without a new candidate after which the space counts as exhausted."""


def search(
    problem: SearchProblem,
    evaluator: Evaluator,
    *,
    progress: Progress,
    checkpoint: Path | None = None,
) -> list[dict[str, Any]]:
    """Draw until the allowance or the space is exhausted."""
    turn = Turn(METHOD, evaluator, progress)
    chance = np.random.default_rng([problem.seed, 2])
    while turn.left > 0:
        target = target_estimate(problem, turn.evaluations)
        batch = _draw(problem, turn, chance, target)
        if batch:
            turn.hand_in(batch, learning=False)
        # Until the first batch has told where the budget lies there is no target to draw for;
        # and a target may be so far off that there is nothing new to draw.
        if (not batch or not turn.evaluations) and not turn.take_in():
            break
    turn.take_in()
    return []


def _draw(
    problem: SearchProblem, turn: Turn, chance: np.random.Generator, target: float
) -> list[Candidate]:
    """Up to a batch of new candidates whose estimates are at, or a little below, the target.

    A first batch for several boards is drawn far around it: a line through estimates that are all
    alike can point anywhere, and the next two batches would follow it.
    """
    goals = NEAR if problem.boards == 1 or turn.evaluations else AROUND
    count = problem.at_once(BATCH, rounds=ROUNDS)
    return drawn(problem, count, turn.asked, chance, target=target, goals=goals)


def drawn(
    problem: SearchProblem,
    count: int,
    asked: Callable[[Candidate], bool],
    chance: np.random.Generator,
    *,
    target: float,
    goals: tuple[float, float] = NEAR,
) -> list[Candidate]:
    """Up to `count` candidates in random directions that were not asked for before.

    Args:
        target: estimated cost that is to be kept.
        goals: shares of it within which they are drawn.
    """
    batch: dict[Candidate, None] = {}
    for _ in range(STALE):
        if len(batch) == count:
            break
        direction = chance.random(len(problem.space.groups))
        candidate = scaled(problem, direction, target * chance.uniform(*goals))
        if not asked(candidate):
            batch[candidate] = None
    return list(batch)


def scaled(problem: SearchProblem, direction: np.ndarray, goal: float) -> Candidate:
    """The candidate along a direction whose estimate comes nearest to the goal from below.

    `direction` [groups] in [0, 1] is moved towards all 0 or all 1 by bisection, so that any goal
    between the smallest and the unpruned candidate is reached.
    """
    low, high = -1.0, 1.0
    for _ in range(14):
        shift = (low + high) / 2
        keep = direction * (1 + shift) if shift < 0 else direction + (1 - direction) * shift
        if problem.estimate(problem.space.nearest(list(keep)).widths) > goal:
            high = shift
        else:
            low = shift
    keep = direction * (1 + low) if low < 0 else direction + (1 - direction) * low
    return problem.space.nearest(list(keep))


def target_estimate(problem: SearchProblem, evaluations: Sequence[Evaluation]) -> float:
    """The estimate at which the worst constraint is expected to be just kept.

    Cost over limit is taken as a line in the estimate, fitted to what was measured.
    """
    measured = [e for e in evaluations if e.failure is None]
    shares = np.array([problem.estimate(e.candidate.widths) for e in measured])
    used = np.array([1 + e.worst_excess for e in measured])
    if len(measured) < 3 or np.ptp(shares) < 1e-3:
        # Nothing to fit yet: half of the unpruned cost, moved by what little is known.
        return 0.5 / float(used.mean()) if len(measured) else 0.5
    slope, start = np.polyfit(shares, used, 1)
    if slope <= 0:
        return float(shares.mean() / used.mean())
    return float(np.clip((1 - start) / slope, 0.0, 1.0))
