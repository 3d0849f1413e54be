"""The synthetic problem: its optimum is the optimum."""

from __future__ import annotations

import itertools

import pytest

from tests.doubles.synthetic_problem import SyntheticProblem


@pytest.mark.parametrize("seed", range(4))
def test_no_candidate_within_the_budget_is_better_than_the_optimum(seed):
    problem = SyntheticProblem(4, seed=seed)
    optimum = problem.optimum().widths
    assert problem.true_excess(optimum) <= 0
    every = itertools.product(*(g.choices for g in problem.space.groups))
    best = max(problem.true_quality(w) for w in every if problem.true_excess(w) <= 0)
    assert problem.true_quality(optimum) == pytest.approx(best)


def test_a_candidate_measured_twice_reads_the_same():
    problem = SyntheticProblem(4, seed=1)
    first, second = (problem.evaluate([problem.space.unpruned])[0].result() for _ in range(2))
    assert first == second
