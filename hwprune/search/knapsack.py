"""The knapsack: the choices with the least total loss whose total cost stays within a limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BINS = 800
"""Budget is cut into so many parts; rounding 32 groups to them errs by about 0.3 % of it."""
TURNS = 16
"""Tries to make several constraints one."""


def solve(losses: Sequence[np.ndarray], costs: Sequence[np.ndarray], limit: float) -> np.ndarray:
    """The best choice of every group, [groups]; the cheapest where none keeps the limit.

    Args:
        losses, costs: [choices] of each group, any sign; both are sums over groups.
    """
    cheapest = np.array([int(c.argmin()) for c in costs])
    room = limit - sum(float(c.min()) for c in costs)
    if room < 0:
        return cheapest
    scale = BINS / max(room, 1e-9)
    # To the nearest bin and not up, so that errors of groups cancel; BINS + 1 is out of reach.
    steps = [np.minimum(np.rint((c - c.min()) * scale), BINS + 1).astype(int) for c in costs]
    # ahead[b]: least loss of the groups from here on with b bins left.
    ahead, picks = np.zeros(BINS + 1), []
    for loss, step in zip(reversed(losses), reversed(steps), strict=True):
        options = np.full((len(loss), BINS + 1), np.inf)
        for choice, bins in enumerate(step):
            if bins <= BINS:
                options[choice, bins:] = loss[choice] + ahead[: BINS + 1 - bins]
        picks.append(options.argmin(axis=0))
        ahead = options.min(axis=0)
    left, chosen = BINS, []
    for step, pick in zip(steps, reversed(picks), strict=True):
        chosen.append(int(pick[left]))
        left -= int(step[chosen[-1]])
    return np.array(chosen)


def solve_all(
    losses: Sequence[np.ndarray], costs: Sequence[Sequence[np.ndarray]], limits: Sequence[float]
) -> np.ndarray:
    """As `solve`, for several constraints; `costs[k][g]` are those of constraint k.

    One constraint is solved exactly. Several are added up with weights (a surrogate constraint),
    which shift towards those the solution breaks; where that does not settle it, the sum's own
    limit shrinks as well. Where a limit is 0 or less, the cheapest choices are returned.
    """
    if min(limits) <= 0:
        # Shares of such a limit would rank the dearest choice as the cheapest.
        return np.array(
            [int(np.sum(group, axis=0).argmin()) for group in zip(*costs, strict=True)]
        )
    rows = [[c / limit for c in row] for row, limit in zip(costs, limits, strict=True)]
    weights = np.full(len(rows), 1.0 / len(rows))
    best, least, tight = np.zeros(0, int), np.inf, 1.0
    for turn in range(1 if len(rows) == 1 else TURNS):
        mixed = [np.tensordot(weights, group, 1) for group in zip(*rows, strict=True)]
        chosen = solve(losses, mixed, tight)
        used = np.array([sum(row[g][c] for g, c in enumerate(chosen)) for row in rows])
        if used.max() < least:
            best, least = chosen, float(used.max())
        if used.max() <= 1.0:
            break
        weights = weights * np.exp(4.0 * (used - used.min()))
        weights = weights / weights.sum()
        if turn >= TURNS // 2:
            tight /= float(used.max())
    return best
