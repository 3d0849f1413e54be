"""Method "sensitivity": scan each group alone, then solve a knapsack over widths (as HALP does).

Losses come from the scan and are summed over groups. Costs come from a regression on everything
measured, so that solutions converge on the budget. What is left of the allowance goes to solutions
of the same knapsack with losses varied within the scan's own uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwprune.candidate import Candidate, GroupChoice, SearchSpace
from hwprune.evaluation import Evaluation
from hwprune.search.evaluator import Evaluator
from hwprune.search.knapsack import solve_all
from hwprune.search.problem import SearchProblem
from hwprune.search.surrogate import Surrogate

SCAN_SHARE = 0.6
"""Of the allowance, at most, for the scan."""
BATCH = 4
"""Candidates of a batch, for one board."""
DRAWS = 4
"""Varied solutions for each one that several boards are to have; many are the same."""
SPREAD = 0.3
"""Standard deviation of the logarithm of a varied loss."""
CAUTION = 0.5
"""The share of the cost regression's typical error that is kept free below the limit."""
NEAR = 0.1
"""A reading shows where the limit is if it keeps it by no more than this share."""
AIMS = (1.1, 0.8)
"""Several boards search for the limit over this range of believed costs, as shares of it."""
FAR = 0.5
"""The most that a sum over groups is corrected by, as a share of the limit."""
STALE = 12
"""Batches in a row without a new candidate after which the space counts as exhausted."""


def search(evaluator: Evaluator) -> None:
    """Scan, then solve and measure until the allowance or all variation is exhausted."""
    problem = evaluator.problem
    groups = problem.space.groups
    room = int(problem.evaluations * SCAN_SHARE)
    # The scan begins with the widest candidate; each level is one candidate a group.
    levels = min(3, max(1, (room - 1) // len(groups)))
    scan = evaluator.ask(scan_candidates(problem.space, levels, max(1, room)))
    losses = scan_losses(problem, scan)
    surrogate = Surrogate(problem)
    chance = np.random.default_rng([problem.seed, 3])
    centre, stale, tried = problem.space.uniform(0.7).widths, 0, False
    while evaluator.left > 0 and stale < STALE:
        surrogate.fit(evaluator.evaluations)
        batch: list[Candidate] = []
        lost = problem.boards > 1 and not _at_the_limit(evaluator)
        if surrogate.known:
            # Each dry batch searches wider and further from the limit.
            centre = solve(surrogate, losses, centre, CAUTION * (1 + stale / 2))
            aims = AIMS if lost and tried else (1.0, 1.0)
            batch = _varied(evaluator, surrogate, losses, centre, chance, stale=stale, aims=aims)
        stale, tried = (0 if batch else stale + 1), True
        # Losses are the scan's.
        evaluator.hand_in(evaluator.start(batch, learning=False))
        if lost:
            evaluator.take_in()
    evaluator.take_in()


def scan_candidates(space: SearchSpace, levels: int, limit: int) -> list[Candidate]:
    """The widest candidate, then each group alone at `levels` widths, deepest cuts first.

    At most `limit` candidates: where the allowance ends within a level, groups are taken evenly
    spread over the depth.
    """
    full = space.widest.widths
    found = {space.widest: None}
    for level in range(levels):
        # A group with as few choices as levels would have one cut twice.
        order = [g for g, group in enumerate(space.groups) if len(group.choices) > level + 1]
        room = limit - len(found)
        if room < len(order):
            order = [order[i * len(order) // room] for i in range(room)] if room > 0 else []
        for g in order:
            width = _cut(space.groups[g].choices, level, levels)
            found[Candidate(widths=(*full[:g], width, *full[g + 1 :]))] = None
    return list(found)[:limit]


def _cut(choices: tuple[int, ...], level: int, levels: int) -> int:
    """The width of a level: levels part the choices evenly, level 0 is the deepest cut."""
    below = len(choices) - 1
    return choices[below * (level + 1) // (levels + 1)]


def _varied(
    evaluator: Evaluator,
    surrogate: Surrogate,
    losses: Sequence[np.ndarray],
    centre: tuple[int, ...],
    chance: np.random.Generator,
    *,
    stale: int,
    aims: tuple[float, float],
) -> list[Candidate]:
    """New solutions around the centre, the first with the losses as they are.

    `aims`: the believed costs of the first and the last of them, as shares of the limit.
    """
    batch: dict[Candidate, None] = {}
    count = evaluator.problem.at_once(BATCH)
    several = evaluator.problem.boards > 1
    draws = DRAWS * count if several else count
    slack, shift = CAUTION * (1 + stale / 2) * float(surrogate.used_error().max()), 0.0
    _, costs = surrogate.around(centre)
    for number in range(draws):
        spread = SPREAD * (1 + stale / 4) if number else 0.0
        varied = [loss * np.exp(chance.normal(0.0, spread)) for loss in losses]
        aim = float(np.interp(len(batch), (0, max(1, count - 1)), aims))
        found = _within(surrogate, varied, costs, aim - slack + shift)
        if several:
            # Costs are a sum over groups near the centre only. Where one batch follows another
            # before either is read, a search would go astray on that; the surrogate itself knows.
            believed = float(surrogate.used(np.array([found.widths])).max())
            shift = float(np.clip(shift + (aim - slack - believed) / 2, -FAR, FAR))
        if not evaluator.asked(found):
            batch[found] = None
        if len(batch) == count:
            break
    return list(batch)


def _at_the_limit(evaluator: Evaluator) -> bool:
    """Whether the regression's limit is where the real one is: a reading is just within it."""
    return any(-NEAR <= e.worst_excess <= 0 for e in evaluator.evaluations)


def solve(
    surrogate: Surrogate, losses: Sequence[np.ndarray], centre: tuple[int, ...], caution: float
) -> tuple[int, ...]:
    """The widths with the least loss whose believed cost keeps the limit with some caution."""
    limit = 1 - caution * float(surrogate.used_error().max())
    # Costs are a sum over groups near the centre alone, and the first solution moves it.
    for _ in range(2):
        _, costs = surrogate.around(centre)
        centre = _within(surrogate, losses, costs, limit).widths
    return centre


def _within(
    surrogate: Surrogate,
    losses: Sequence[np.ndarray],
    costs: Sequence[Sequence[np.ndarray]],
    limit: float,
) -> Candidate:
    groups = surrogate.problem.space.groups
    chosen = zip(groups, solve_all(losses, costs, [limit] * len(costs)), strict=True)
    return Candidate(widths=tuple(g.choices[int(c)] for g, c in chosen))


def scan_losses(problem: SearchProblem, scan: Sequence[Evaluation]) -> list[np.ndarray]:
    """Quality lost by each choice of each group, [choices] each, from a scan.

    Between scanned widths losses are lines, and the line goes on below the smallest scanned width.
    """
    full = problem.space.widest
    base = problem.base_quality
    points: list[dict[int, float]] = [{g.width: 0.0} for g in problem.space.groups]
    for evaluation in scan:
        pairs = zip(evaluation.candidate.widths, full.widths, strict=True)
        cut = [i for i, (width, whole) in enumerate(pairs) if width != whole]
        if len(cut) == 1 and evaluation.quality is not None:
            width = evaluation.candidate.widths[cut[0]]
            # Noise can make a cut look good; believing that would cut it to nothing.
            points[cut[0]][width] = max(0.0, base - evaluation.quality)
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
