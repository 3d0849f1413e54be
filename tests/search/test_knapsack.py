"""The knapsack: exact for one constraint, and feasible for several."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune.search.knapsack import BINS, solve, solve_all


def random_problem(seed: int, groups: int = 4, choices: int = 4):
    chance = np.random.default_rng(seed)
    losses = [np.sort(chance.random(choices))[::-1] for _ in range(groups)]
    costs = [np.sort(chance.integers(1, 20, choices)).astype(float) for _ in range(groups)]
    return losses, costs


def total(rows, chosen) -> float:
    return float(sum(row[c] for row, c in zip(rows, chosen, strict=True)))


@given(st.integers(0, 10_000), st.floats(0.2, 0.9))
@settings(max_examples=30, deadline=None)
def test_no_choice_is_better_than_the_solution(seed, share):
    losses, costs = random_problem(seed)
    least, most = sum(c.min() for c in costs), sum(c.max() for c in costs)
    limit = float(round(least + share * (most - least)) + 0.5)
    chosen = solve(losses, costs, limit)
    # Budgets are cut into bins, so the promise holds up to half a bin a group.
    slack = len(costs) * (limit - least) / BINS
    assert total(costs, chosen) <= limit + slack
    every = itertools.product(*(range(len(c)) for c in costs))
    best = min(total(losses, c) for c in every if total(costs, c) <= limit - slack)
    assert total(losses, chosen) <= best + 1e-9


def test_where_nothing_fits_everything_is_cheapest():
    losses, costs = random_problem(1)
    chosen = solve(losses, costs, sum(c.min() for c in costs) - 1)
    assert list(chosen) == [int(c.argmin()) for c in costs]


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_several_constraints_are_all_kept_where_that_is_easy(seed):
    losses, first = random_problem(seed, groups=6)
    _, second = random_problem(seed + 1, groups=6)
    limits = [0.8 * sum(c.max() for c in costs) for costs in (first, second)]
    chosen = solve_all(losses, [first, second], limits)
    for costs, limit in zip((first, second), limits, strict=True):
        assert total(costs, chosen) <= limit * 1.02


@pytest.mark.parametrize("limits", [[0.0, 0.5], [-0.2, 0.5], [-0.2, -0.1]])
def test_a_limit_that_caution_brought_below_0_gives_the_cheapest(limits):
    losses = [np.array([1.0, 0.5, 0.0])] * 3
    costs = [np.array([0.1, 0.2, 0.4])] * 3
    assert list(solve_all(losses, [costs], limits[:1])) == [0, 0, 0]
    assert list(solve_all(losses, [costs, costs], limits)) == [0, 0, 0]
