"""The hard problem: its reference keeps the budget, and what is told of it is the truth."""

from __future__ import annotations

import numpy as np
import pytest

from hwprune.candidate import Candidate
from tests.doubles.hard_problem import MEMORY, HardProblem


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.heavy) for s in (1, 2))])
def test_the_reference_keeps_the_budget_and_cuts_the_stem_to_its_least(seed):
    problem = HardProblem(20, seed=seed)
    best = problem.optimum().widths
    assert problem.true_excess(best) <= 0
    assert best[0] == problem.space.groups[0].choices[0]
    assert problem.true_quality(best) > problem.true_quality(problem.space.smallest.widths)


def test_no_network_keeps_the_budget_with_a_wider_stem():
    problem = HardProblem(20, seed=1)
    stem = problem.space.groups[0]
    least = problem.space.smallest.widths
    for width in stem.choices[1:]:
        found = problem.evaluate([Candidate(widths=(width, *least[1:]))])[0].result()
        assert found.excess[MEMORY] > 0


def test_memory_is_the_peak_that_the_search_is_told():
    problem = HardProblem(20, seed=2)
    chance = np.random.default_rng(0)
    widths = np.array(
        [[chance.choice(g.choices) for g in problem.space.groups] for _ in range(50)]
    )
    assert problem.peak().terms(widths)[:, 0] == pytest.approx(problem.true_costs(MEMORY, widths))
