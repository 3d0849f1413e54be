"""Method "random": random directions, each scaled until the budget should be kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem

BATCH = 5
"""Candidates of a batch, for one board."""
NEAR, AROUND = (0.92, 1.0), (0.6, 1.4)
"""Shares of the target within which candidates are drawn."""
ROUNDS = 4
"""Where the budget lies is all there is to learn, and the first batch shows most of it."""
STALE = 200
"""Draws in a row without a new candidate after which the space counts as exhausted."""


def search(evaluator: Evaluator) -> None:
    """Draw until the allowance or the space is exhausted."""
    problem = evaluator.problem
    chance = np.random.default_rng([problem.seed, 2])
    while evaluator.left > 0:
        target = target_estimate(problem, evaluator.evaluations)
        batch = _draw(problem, evaluator, chance, target)
        if batch:
            evaluator.hand_in(evaluator.start(batch, learning=False))
        # Until the first batch has told where the budget lies there is no target to draw for;
        # and a target may be so far off that there is nothing new to draw.
        if (not batch or not evaluator.evaluations) and not evaluator.take_in():
            break
    evaluator.take_in()


def _draw(
    problem: SearchProblem, evaluator: Evaluator, chance: np.random.Generator, target: float
) -> list[Candidate]:
    """Up to a batch of new candidates whose estimates are at, or a little below, the target.

    A first batch for several boards is drawn far around it: a line through estimates that are all
    alike can point anywhere, and the next two batches would follow it.
    """
    goals = NEAR if problem.boards == 1 or evaluator.evaluations else AROUND
    count = problem.at_once(BATCH, rounds=ROUNDS)
    return drawn(problem, count, evaluator.asked, chance, target=target, goals=goals)


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
    # 2 / 2**14 of a group's width: finer than its choices.
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
    # No line to follow: estimates were nearly alike, or costs noise. Taken as proportional.
    if slope <= 0:
        return float(shares.mean() / used.mean())
    return float(np.clip((1 - start) / slope, 0.0, 1.0))
