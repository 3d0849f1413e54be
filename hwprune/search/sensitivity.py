"""Method "sensitivity": scan each group alone, then solve a knapsack over widths (as HALP does).

Losses come from the scan and are summed over groups. Costs come from a regression on everything
measured, so that solutions converge on the budget. What is left of the allowance goes to solutions
of the same knapsack with losses varied within the scan's own uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwprune.candidate import Candidate, GroupChoice
from hwprune.evaluation import Evaluation
from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.knapsack import combined
from hwprune.search.problem import SearchProblem
from hwprune.search.scan import scan_candidates
from hwprune.search.table import Table
from hwprune.search.turn import Turn

METHOD = "sensitivity"
SCAN_SHARE = 0.6
BATCH = 4
DRAWS = 4
"""Varied solutions for each one that several boards are to have; many are the same."""
SPREAD = 0.3
"""Standard deviation of the logarithm of a varied loss."""
CAUTION = 0.5
"""The share of the cost regression's typical error that is kept free below the limit."""
STALE = 12


def search(
    problem: SearchProblem,
    evaluator: Evaluator,
    *,
    progress: Progress,
    checkpoint: Path | None = None,
) -> list[dict[str, Any]]:
    """Scan, then solve and measure until the allowance or all variation is exhausted."""
    turn = Turn(METHOD, evaluator, progress)
    groups = problem.space.groups
    room = int(problem.evaluations * SCAN_SHARE)
    levels = min(3, max(1, (room - 1) // len(groups)))
    scan = turn.ask(scan_candidates(problem.space, levels, max(1, room)))
    losses = scan_losses(problem, scan)
    table = Table(problem)
    chance = np.random.default_rng([problem.seed, 3])
    count = problem.at_once(BATCH)
    draws = count if problem.boards == 1 else DRAWS * count
    centre, stale = problem.space.uniform(0.7).widths, 0
    while turn.left > 0 and stale < STALE:
        table.fit(turn.evaluations)
        batch: dict[Candidate, None] = {}
        if table.known:
            # Each dry batch searches wider and further from the limit.
            centre = solve(table, losses, centre, CAUTION * (1 + stale / 2))
            _, costs = table.around(centre)
            for number in range(draws):
                spread = SPREAD * (1 + stale / 4) if number else 0.0
                varied = [loss * np.exp(chance.normal(0.0, spread)) for loss in losses]
                found = _within(table, varied, costs, CAUTION * (1 + stale / 2))
                if not turn.asked(found):
                    batch[found] = None
                if len(batch) == count:
                    break
        stale = 0 if batch else stale + 1
        turn.hand_in(list(batch))
    turn.take_in()
    return []


def solve(
    table: Table, losses: Sequence[np.ndarray], centre: tuple[int, ...], caution: float
) -> tuple[int, ...]:
    """The widths with the least loss whose believed cost keeps the limit with some caution."""
    for _ in range(2):
        _, costs = table.around(centre)
        centre = _within(table, losses, costs, caution).widths
    return centre


def _within(
    table: Table,
    losses: Sequence[np.ndarray],
    costs: Sequence[Sequence[np.ndarray]],
    caution: float,
) -> Candidate:
    limit = 1 - caution * float(table.used_error().max())
    sack, _ = combined(losses, costs, [limit] * len(costs))
    groups = table.problem.space.groups
    chosen = zip(groups, sack.solve(), strict=True)
    return Candidate(widths=tuple(g.choices[int(c)] for g, c in chosen))


def scan_losses(problem: SearchProblem, scan: Sequence[Evaluation]) -> list[np.ndarray]:
    """Accuracy lost by each choice of each group, [choices] each, from a scan.

    Between scanned widths losses are lines, and the line goes on below the smallest scanned width.
    """
    full = problem.space.widest
    base = problem.base_accuracy
    points: list[dict[int, float]] = [{g.width: 0.0} for g in problem.space.groups]
    for evaluation in scan:
        pairs = zip(evaluation.candidate.widths, full.widths, strict=True)
        cut = [i for i, (width, whole) in enumerate(pairs) if width != whole]
        if len(cut) == 1 and evaluation.accuracy is not None:
            width = evaluation.candidate.widths[cut[0]]
            # Noise can make a cut look good; believing that would cut it to nothing.
            points[cut[0]][width] = max(0.0, base - evaluation.accuracy)
    known = [max(p.values()) for p in points if len(p) > 1]
    typical = float(np.median(known)) if known else 0.01
    return [_curve(g, p, typical) for g, p in zip(problem.space.groups, points, strict=True)]


def _curve(group: GroupChoice, points: dict[int, float], typical: float) -> np.ndarray:
    choices = np.array(group.choices, float)
    if len(points) == 1:
        # Never scanned, or it failed: as sensitive as most.
        points = {**points, group.choices[0]: typical}
    widths = sorted(points)
    values = [points[w] for w in widths]
    if len(widths) == 1:
        return np.zeros(len(choices))
    slope = (values[1] - values[0]) / (widths[1] - widths[0])
    inside = np.interp(choices, widths, values)
    below = values[0] + slope * (choices - widths[0])
    # A trace of a price on every cut, so that of two choices without loss the wider one wins.
    return np.where(choices < widths[0], below, inside) + 1e-4 * (1 - choices / group.width)
