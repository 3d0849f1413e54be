"""A scan of single groups and a knapsack over widths, in the manner of HALP (Shen et al., 2022).

Each group is cut alone at a few widths; what that loses is taken to add up. A knapsack picks the
widths with the least total loss within the budget. The rest of the allowance goes into solving
again, with costs corrected by what was measured and losses shaken within their noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwprune.candidate import Candidate
from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.knapsack import combined
from hwprune.search.problem import SearchProblem
from hwprune.search.scan import scan_candidates
from hwprune.search.table import Table
from hwprune.search.turn import Turn

SCAN_SHARE = 0.6
SHAKE = 0.3
"""Spread of the losses' logarithms between solutions; they are noisy differences."""
PATIENCE = 50
BATCH = 5


def search(
    problem: SearchProblem,
    evaluator: Evaluator,
    *,
    progress: Progress,
    checkpoint: Path | None = None,
) -> None:
    """Scan, solve, measure, and solve again until the allowance is used up."""
    turn = Turn("sensitivity", evaluator, progress)
    most = max(2, int(problem.evaluations * SCAN_SHARE))
    per_group = max(1, most // max(1, len(problem.space.groups)))
    scan = turn.ask(scan_candidates(problem.space, min(3, per_group), most))
    losses = _losses(problem, turn)
    table = Table(problem)
    rng = np.random.default_rng(problem.seed)
    centre: tuple[int, ...] = problem.space.uniform(0.7).widths
    stale = 0
    while turn.left > 0 and stale < PATIENCE:
        table.fit(turn.evaluations)
        batch: dict[Candidate, None] = {}
        while len(batch) < min(BATCH, turn.left) and stale < PATIENCE:
            shake = SHAKE if len(turn.evaluations) > len(scan) or batch else 0.0
            shaken = [loss * np.exp(rng.normal(0.0, shake)) for loss in losses]
            margin = 0.5 * float(table.used_error().max()) * (1 + stale / 5)
            centre = _solve(problem, table, shaken, centre, margin)
            candidate = Candidate(widths=centre)
            if turn.asked(candidate) or candidate in batch:
                stale += 1
            else:
                stale = 0
                batch[candidate] = None
        turn.ask(list(batch))


def _solve(
    problem: SearchProblem,
    table: Table,
    losses: list[np.ndarray],
    centre: tuple[int, ...],
    margin: float,
) -> tuple[int, ...]:
    for _ in range(3):
        _, costs = table.around(centre)
        sack, _ = combined(losses, costs, [1.0 - margin] * len(costs))
        chosen = sack.solve()
        last, centre = (
            centre,
            tuple(g.choices[i] for g, i in zip(problem.space.groups, chosen, strict=True)),
        )
        if centre == last:
            break
    return centre


def _losses(problem: SearchProblem, turn: Turn) -> list[np.ndarray]:
    """Accuracy lost by each group alone at each of its widths, [groups][choices], interpolated."""
    whole = problem.space.unpruned.widths
    curves: list[dict[int, float]] = [{w: 0.0} for w in whole]
    for evaluation in turn.evaluations:
        widths = evaluation.candidate.widths
        cut = [g for g, (a, b) in enumerate(zip(widths, whole, strict=True)) if a != b]
        if len(cut) == 1 and evaluation.accuracy is not None:
            lost = max(0.0, problem.base_accuracy - evaluation.accuracy)
            curves[cut[0]][widths[cut[0]]] = lost
    return [
        _interpolated(curve, np.array(group.choices, float))
        for curve, group in zip(curves, problem.space.groups, strict=True)
    ]


def _interpolated(curve: dict[int, float], choices: np.ndarray) -> np.ndarray:
    widths = np.array(sorted(curve), float)
    values = np.array([curve[int(w)] for w in widths])
    # Equal losses go to the narrower width's disfavour: a wider group never hurts accuracy.
    least = 1e-4 * (1 - choices / choices[-1])
    if len(widths) == 1:
        return least
    slope = (values[1] - values[0]) / (widths[1] - widths[0])
    below = values[0] + slope * (choices - widths[0])
    return np.where(choices < widths[0], below, np.interp(choices, widths, values)) + least
