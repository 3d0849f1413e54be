"""Random search, made fair: random directions, each scaled to where the budget should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwprune.candidate import Candidate
from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem
from hwprune.search.turn import Turn

BATCH = 8
PATIENCE = 200
"""Draws in a row that give nothing new before the space counts as used up."""


def search(
    problem: SearchProblem,
    evaluator: Evaluator,
    *,
    progress: Progress,
    checkpoint: Path | None = None,
) -> None:
    """Evaluate random candidates near the budget until the allowance is used up."""
    turn = Turn("random", evaluator, progress)
    rng = np.random.default_rng(problem.seed)
    # The first few span the space, so that a line from estimate to measured cost can be drawn.
    turn.ask([_scaled(problem, rng, target) for target in (0.15, 0.3, 0.5, 0.7)])
    stale = 0
    while turn.left > 0 and stale < PATIENCE:
        aim = _aim(problem, turn)
        batch: dict[Candidate, None] = {}
        while len(batch) < min(BATCH, turn.left) and stale < PATIENCE:
            candidate = _scaled(problem, rng, aim * rng.uniform(0.9, 1.02))
            fresh = not turn.asked(candidate) and candidate not in batch
            stale = 0 if fresh else stale + 1
            if fresh:
                batch[candidate] = None
        turn.ask(list(batch))


def _scaled(problem: SearchProblem, rng: np.random.Generator, target: float) -> Candidate:
    """A random direction, scaled by bisection until its estimated cost is `target`."""
    direction = rng.uniform(0.2, 1.0, len(problem.space.groups))
    low, high = 0.0, 5.0
    for _ in range(20):
        middle = (low + high) / 2
        candidate = problem.space.nearest(np.minimum(direction * middle, 1.0).tolist())
        if problem.estimate(candidate.widths) > target:
            high = middle
        else:
            low = middle
    return problem.space.nearest(np.minimum(direction * low, 1.0).tolist())


def _aim(problem: SearchProblem, turn: Turn) -> float:
    """The estimate at which measured cost meets the limit, by a line through what was measured."""
    good = [e for e in turn.evaluations if e.failure is None]
    if len(good) < 2:
        return 0.5
    used = np.array([1 + e.worst_excess for e in good])
    guess = np.array([problem.estimate(e.candidate.widths) for e in good])
    weight = np.exp(-(((used - 1) / 0.5) ** 2)) + 0.05
    slope, start = np.polyfit(guess, used, 1, w=np.sqrt(weight))
    return float(np.clip((1 - start) / slope, 0.02, 1.0)) if slope > 1e-6 else 0.5
