"""Several boards: every method asks for enough to keep them busy, and for one board as ever."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation, best_of
from hwprune.futures import done
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune.search.problem import ROUNDS, SearchProblem
from hwprune.search.uniform import divisions
from tests.doubles.synthetic_problem import SyntheticProblem
from tests.search.test_methods import FAST

ALLOWANCE = 200
GROUPS = 20
BOARD = 4
"""The farm gives a board that is free so many at least, if it was asked for them."""


class Counting(Evaluator):
    """Knows how much a method has under way when it begins to wait."""

    def __init__(self, problem: SearchProblem, method: str) -> None:
        super().__init__(problem, method)
        self.under_way: list[int] = []
        """One number for each time that the method had asked for more and began to wait."""
        self._before = problem.evaluations

    def resolve(self, futures: Sequence[Future[Evaluation]]) -> list[Evaluation]:
        """Count, then wait."""
        if futures and self.left < self._before:
            asked = self.problem.evaluations - self.left
            self.under_way.append(asked - len(self.evaluations))
            self._before = self.left
        return super().resolve(futures)


def searched(method: str, boards: int, allowance: int = ALLOWANCE) -> Counting:
    problem = SyntheticProblem(GROUPS, seed=1).search_problem(allowance, boards=boards)
    evaluator = Counting(problem, method)
    METHODS[method](evaluator)
    return evaluator


@pytest.mark.parametrize("method", FAST)
def test_eight_boards_keep_their_allowance_and_find_something_feasible(method):
    found = searched(method, 8, 60).evaluations
    assert 0 < len(found) <= 60
    assert len({e.candidate for e in found}) == len(found)
    best = best_of(found)
    assert best is not None and best.worst_excess <= 0


@pytest.mark.parametrize("method", ["model", "random"])
def test_eight_boards_have_a_batch_each_while_the_one_before_is_taken_in(method):
    under_way = searched(method, 8).under_way
    assert median(under_way) >= 8 * BOARD


@pytest.mark.parametrize(
    ("method", "least"),
    [("sensitivity", 3 * GROUPS), ("uniform", 8)],
)
def test_what_needs_no_answer_before_it_is_asked_for_together(method, least):
    assert max(searched(method, 8).under_way) >= least


@pytest.mark.parametrize(("method", "most"), [("model", 5), ("random", 5)])
def test_one_board_is_asked_for_no_more_than_it_ever_was(method, most):
    _, *later = searched(method, 1, 100).under_way
    assert max(later) == most


@pytest.mark.parametrize("boards", [2, 8])
def test_sensitivity_finds_a_limit_that_sums_over_groups_point_away_from(boards):
    synthetic = SyntheticProblem(GROUPS, seed=0)
    whole = sum(synthetic.space.unpruned.widths)

    def evaluate(
        candidates: Sequence[Candidate], *, learning: bool = True
    ) -> list[Future[Evaluation]]:
        futures = []
        for candidate, known in zip(candidates, synthetic.evaluate(candidates), strict=True):
            used = 2 * sum(candidate.widths) / whole
            costs = {"excess": {"latency_ms": used - 1}, "costs": {"latency_ms": used}}
            futures.append(done(replace(known.result(), **costs)))
        return futures

    problem = replace(synthetic.search_problem(128, boards=boards), evaluate=evaluate)
    evaluator = Evaluator(problem, "sensitivity")
    METHODS["sensitivity"](evaluator)
    assert sum(e.feasible for e in evaluator.evaluations) > 2


@given(boards=st.integers(1, 100), allowance=st.integers(1, 10_000), one=st.integers(1, 32))
def test_at_once_grows_with_boards_and_leaves_steps_to_learn_in(boards, allowance, one):
    problem = SyntheticProblem(2).search_problem(allowance, boards=boards)
    count = problem.at_once(one)
    assert one <= count <= one * boards
    assert count == one or count * ROUNDS <= allowance


@given(low=st.integers(0, 400), way=st.integers(1, 400), count=st.integers(1, 64))
def test_divisions_leave_at_most_their_share_of_the_way(low, way, count):
    high = low + way
    places = divisions(low, high, count)
    assert places == sorted(set(places)) and len(places) <= count
    assert low < places[0] and places[-1] <= high
    # Whatever the answers, what is left is from a place to just before the next.
    ends = [*places, high + 1]
    widest = max(after - 1 - place for place, after in zip([low, *places], ends, strict=True))
    assert widest <= way // (count + 1) + 1 and widest < way


def test_one_division_bisects():
    assert divisions(3, 10, 1) == [(3 + 10 + 1) // 2]
