"""What every method owes: its allowance, allowed widths, and measured feasibility."""

from __future__ import annotations

import pytest

from hwprune.errors import InputError
from hwprune.evaluation import best_of
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune.search.policy.rllib import expect_rllib
from tests.doubles.synthetic_problem import Difficulty, SyntheticProblem

ALLOWANCE = 60


def _without(*heavy: str) -> list[object]:
    return [pytest.param(m, marks=pytest.mark.heavy) if m in heavy else m for m in METHODS]


EACH = _without("policy", "sensitive+ddpg")
"""What learns by gradients takes seconds for what policy+model shows too."""
FAST = _without("policy", "policy+model", "sensitive+ddpg")
"""Without those seconds too, where the method makes no difference to what is asked."""


def searched(method: str, problem: SyntheticProblem, allowance: int = ALLOWANCE):
    if "policy" in method:
        try:
            expect_rllib()
        except InputError as error:
            pytest.skip(error.given)
    evaluator = Evaluator(problem.search_problem(allowance), method)
    METHODS[method](evaluator)
    return evaluator.evaluations


@pytest.mark.parametrize("method", EACH)
def test_a_method_keeps_its_allowance_and_finds_something_feasible(method):
    problem = SyntheticProblem(8, seed=1)
    found = searched(method, problem)
    assert 0 < len(found) <= ALLOWANCE
    assert [e.number for e in found] == list(range(1, len(found) + 1))
    assert len({e.candidate for e in found}) == len(found)
    best = best_of(found)
    assert best is not None
    assert all(excess <= 0 for excess in best.excess.values())


@pytest.mark.parametrize("method", FAST)
def test_failing_candidates_break_nothing_and_are_never_feasible(method):
    found = searched(method, SyntheticProblem(6, seed=2, difficulty=Difficulty(failing=0.2)), 40)
    failed = [e for e in found if e.failure is not None]
    assert not any(e.feasible for e in failed)
    assert len(failed) < len(found)


@pytest.mark.parametrize("method", FAST)
def test_several_constraints_are_kept_at_once(method):
    problem = SyntheticProblem(6, seed=3, constraints=("latency_ms", "params"))
    best = best_of(searched(method, problem))
    assert best is not None
    assert set(best.excess) == {"latency_ms", "params"}
    assert best.worst_excess <= 0


@pytest.mark.parametrize("method", FAST)
def test_a_space_smaller_than_the_allowance_ends_the_search(method):
    assert len(searched(method, SyntheticProblem(1, seed=0), 200)) <= 8


@pytest.mark.heavy
def test_what_learns_beats_random_and_uniform():
    problem = SyntheticProblem(12, seed=4)

    def truly(method: str) -> float:
        best = best_of(searched(method, problem, 100))
        return problem.true_quality(best.candidate.widths) if best else 0.0

    simple = max(truly("random"), truly("uniform"))
    for method in ("sensitivity", "policy", "model", "policy+model"):
        assert truly(method) > simple
