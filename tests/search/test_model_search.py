"""The model's search: it keeps the way to what keeps the budget, and is the same each time."""

from __future__ import annotations

import pytest

from hwprune.evaluation import Evaluation, best_of
from hwprune.search import model_search
from hwprune.search.evaluator import Evaluator
from tests.doubles.synthetic_problem import Difficulty, SyntheticProblem


def searched(synthetic: SyntheticProblem, allowance: int, boards: int = 1) -> list[Evaluation]:
    evaluator = Evaluator(synthetic.search_problem(allowance, boards=boards), "model")
    model_search.search(evaluator)
    return evaluator.evaluations


@pytest.mark.parametrize("room", [1.06, 1.5, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_budget_however_small_is_met_by_more_than_the_smallest_network(room, seed):
    """`room`: the budget, in costs of the smallest network."""
    whole = SyntheticProblem(10, seed=seed, budget=1.0)
    smallest = whole.space.smallest
    budget = room * (1 + whole.true_excess(smallest.widths))
    best = best_of(searched(SyntheticProblem(10, seed=seed, budget=budget), 60))
    assert best is not None and best.candidate != smallest


def test_boards_that_fail_a_third_of_candidates_cost_no_answer():
    found = searched(SyntheticProblem(10, seed=4, difficulty=Difficulty(failing=0.33)), 60)
    assert best_of(found) is not None


@pytest.mark.parametrize("boards", [1, 4])
def test_the_same_readings_give_the_same_search(boards):
    first, again = (searched(SyntheticProblem(8, seed=5), 50, boards) for _ in range(2))
    assert [e.candidate for e in first] == [e.candidate for e in again]
