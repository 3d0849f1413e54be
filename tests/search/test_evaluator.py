"""The evaluator: keeps to the allowance, asks nothing twice, and keeps answers in order."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import Future

import pytest

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation
from hwprune.progress import Silent
from hwprune.search import model_search
from hwprune.search.evaluator import PATIENCE, Evaluator
from tests.doubles.synthetic_problem import Difficulty, SyntheticProblem


def make(allowance: int = 10, **difficulty: float) -> tuple[SyntheticProblem, Evaluator]:
    problem = SyntheticProblem(3, seed=0, difficulty=Difficulty(**difficulty))
    return problem, Evaluator(problem.search_problem(allowance), "a")


def some(problem: SyntheticProblem, count: int) -> list[Candidate]:
    widths = problem.space.groups[2].choices
    return [Candidate(widths=(16, 32, w)) for w in widths[:count]]


class Counted(Silent):
    """Counts what it hears of."""

    def __init__(self) -> None:
        self.heard = 0

    def advance(self, count: int = 1, note: str = "") -> None:
        """One more."""
        self.heard += count

    skip = advance


def test_an_evaluation_tells_quality_and_excess():
    problem, evaluator = make(quality_noise=0.0, latency_noise=0.0)
    (evaluation,) = evaluator.ask([problem.space.unpruned])
    assert evaluation.quality == pytest.approx(problem.base_quality)
    assert evaluation.excess["latency_ms"] == pytest.approx(1.0)
    assert not evaluation.feasible
    assert (evaluation.method, evaluation.proposed_by) == ("a", "a")


def test_numbers_follow_the_order_of_asking_even_when_answers_do_not():
    problem, evaluator = make(delay_s=0.01)
    candidates = some(problem, 6)
    for candidate in candidates:
        evaluator.start([candidate])
    for candidate in reversed(candidates):
        evaluator.ask([candidate])
    assert [e.candidate for e in evaluator.evaluations] == candidates
    assert [e.number for e in evaluator.evaluations] == [1, 2, 3, 4, 5, 6]


def test_asking_twice_costs_one_evaluation_and_is_heard_of_once():
    problem = SyntheticProblem(3, seed=0)
    heard = Counted()
    evaluator = Evaluator(problem.search_problem(10), "a", heard)
    first, second = (evaluator.ask(some(problem, 3)) for _ in range(2))
    assert first == second
    assert evaluator.left == 7
    assert problem.asked == heard.heard == 3


def test_who_proposed_a_candidate_first_is_kept():
    problem, evaluator = make()
    evaluator.ask(some(problem, 2), by="policy")
    evaluator.ask(some(problem, 3), by="model")
    assert [e.proposed_by for e in evaluator.evaluations] == ["policy", "policy", "model"]


def test_no_more_is_asked_for_than_may_be_and_what_is_known_costs_nothing():
    problem, evaluator = make(allowance=4)
    assert len(evaluator.ask(some(problem, 7))) == 4
    assert evaluator.left == 0
    assert evaluator.ask(some(problem, 7)[5:]) == []
    assert len(evaluator.ask(some(problem, 4))) == 4
    assert problem.asked == 4


def test_widths_that_are_not_offered_are_refused():
    problem, evaluator = make()
    with pytest.raises(ValueError, match="not a candidate"):
        evaluator.ask([Candidate(widths=(1, 1, 1))])
    assert evaluator.left == 10 and problem.asked == 0


def test_a_failure_is_an_evaluation_without_numbers():
    problem, evaluator = make(failing=1.0)
    (evaluation,) = evaluator.ask(some(problem, 1))
    assert evaluation.failure is not None
    assert evaluation.quality is None
    assert not evaluation.feasible


def test_an_error_of_a_callable_reaches_who_waits():
    problem = SyntheticProblem(3, seed=0).search_problem(5)

    def broken(candidates, *, learning):
        futures: list[Future[Evaluation]] = [Future() for _ in candidates]
        for future in futures:
            future.set_exception(OSError("the cable is out"))
        return futures

    evaluator = Evaluator(dataclasses.replace(problem, evaluate=broken), "a")
    with pytest.raises(OSError, match="cable"):
        evaluator.ask([problem.space.unpruned])


def test_when_its_time_is_over_a_search_asks_for_nothing_more():
    problem = SyntheticProblem(3, seed=0)
    given = dataclasses.replace(problem.search_problem(10), until_s=time.monotonic() + 0.2)
    evaluator = Evaluator(given, "a")
    assert len(evaluator.ask(some(problem, 2))) == 2
    time.sleep(0.25)
    assert evaluator.left == 0 and evaluator.ask(some(problem, 4)[2:]) == []
    assert "time" in evaluator.ended
    assert len(evaluator.ask(some(problem, 2))) == 2


@pytest.mark.parametrize(("patient", "stops"), [(True, False), (False, True)])
def test_a_search_that_may_ends_once_nothing_better_comes(patient, stops):
    synthetic = SyntheticProblem(4, seed=2)
    problem = dataclasses.replace(synthetic.search_problem(130), patient=patient)
    evaluator = Evaluator(problem, "model")
    model_search.search(evaluator)
    best = evaluator.best
    assert best is not None and bool(evaluator.ended) == stops
    if stops:
        assert PATIENCE <= len(evaluator.evaluations) - best.number <= PATIENCE + 5
    assert (len(evaluator.evaluations) < 110) == stops
