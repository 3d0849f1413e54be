"""The evaluator: counts for each method, asks nothing twice."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import Future

import pytest

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation
from hwprune.progress import Silent
from hwprune.search.evaluator import Evaluator
from hwprune.search.turn import Turn
from hwprune.testing.synthetic_problem import Difficulty, SyntheticProblem


def make(allowance: int = 10, **difficulty: float) -> tuple[SyntheticProblem, Evaluator]:
    problem = SyntheticProblem(3, seed=0, difficulty=Difficulty(**difficulty))
    return problem, Evaluator(problem.search_problem(allowance))


def some(problem: SyntheticProblem, count: int) -> list[Candidate]:
    widths = problem.space.groups[2].choices
    return [Candidate(widths=(16, 32, w)) for w in widths[:count]]


def test_an_evaluation_tells_quality_and_excess():
    problem, evaluator = make(quality_noise=0.0, latency_noise=0.0)
    (future,) = evaluator.submit("a", [problem.space.unpruned])
    evaluation = future.result(timeout=5)
    assert evaluation.quality == pytest.approx(problem.base_quality)
    assert evaluation.excess["latency_ms"] == pytest.approx(1.0)
    assert not evaluation.feasible


def test_numbers_follow_the_order_of_asking_even_when_answers_do_not():
    problem, evaluator = make(delay_s=0.01)
    candidates = some(problem, 6)
    for candidate in candidates:
        evaluator.submit("a", [candidate])
    for future in reversed(evaluator.submit("a", candidates)):
        future.result(timeout=5)
    found = evaluator.evaluations("a")
    assert [e.candidate for e in found] == candidates
    assert [e.number for e in found] == [1, 2, 3, 4, 5, 6]


def test_asking_twice_costs_one_evaluation_and_one_measurement():
    problem, evaluator = make()
    first, second = (evaluator.submit("a", some(problem, 3)) for _ in range(2))
    assert [f.result().number for f in first] == [f.result().number for f in second]
    assert evaluator.remaining("a") == 7
    assert problem.asked == 3


def test_another_method_pays_for_what_memory_answers():
    problem, evaluator = make()
    evaluator.submit("a", some(problem, 3))
    found = [f.result() for f in evaluator.submit("b", some(problem, 3))]
    assert evaluator.remaining("b") == 7
    assert {e.method for e in found} == {"b"}
    assert problem.asked == 3


def test_more_than_the_allowance_is_refused_whole():
    problem, evaluator = make(allowance=2)
    with pytest.raises(ValueError, match="has 2 left"):
        evaluator.submit("a", some(problem, 3))
    assert evaluator.remaining("a") == 2
    assert problem.asked == 0


def test_widths_that_are_not_offered_are_refused():
    _, evaluator = make()
    with pytest.raises(ValueError, match="not a candidate"):
        evaluator.submit("a", [Candidate(widths=(1, 1, 1))])


def test_a_turn_asks_for_no_more_than_it_may():
    problem, evaluator = make(allowance=4)
    turn = Turn("a", evaluator, Silent())
    assert len(turn.ask(some(problem, 7))) == 4
    assert turn.left == 0
    assert turn.ask(some(problem, 7)[5:]) == []


def test_a_failure_is_an_evaluation_without_numbers():
    problem, evaluator = make(failing=1.0)
    evaluation = evaluator.submit("a", some(problem, 1))[0].result()
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

    evaluator = Evaluator(dataclasses.replace(problem, evaluate=broken))
    with pytest.raises(OSError, match="cable"):
        evaluator.submit("a", [problem.space.unpruned])[0].result(timeout=5)


def test_many_threads_may_ask_at_once():
    heard: list[Evaluation] = []
    problem = SyntheticProblem(3, seed=0, difficulty=Difficulty(delay_s=0.002))
    evaluator = Evaluator(problem.search_problem(12), record=heard.append)
    candidates = some(problem, 12)

    def ask() -> None:
        for future in evaluator.submit("a", candidates):
            future.result(timeout=10)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problem.asked == len(heard) == len(candidates)
    assert sorted(e.number for e in heard) == list(range(1, len(candidates) + 1))
