"""The surrogate: what it believes of candidates it has not seen comes near the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwprune.search.evaluator import Evaluator
from hwprune.search.spread import spread_candidates
from hwprune.search.surrogate import Surrogate
from tests.doubles.synthetic_problem import Difficulty, SyntheticProblem


def seen(problem: SyntheticProblem, count: int):
    given = problem.search_problem(count)
    evaluator = Evaluator(given, "x")
    evaluator.ask(spread_candidates(given, count))
    return given, evaluator.evaluations


def test_beliefs_of_unseen_candidates_are_near_the_truth():
    problem = SyntheticProblem(8, seed=3)
    given, evaluations = seen(problem, 120)
    surrogate = Surrogate(given)
    surrogate.fit(evaluations[:90])
    unseen = [e.candidate.widths for e in evaluations[90:]]
    truth = np.array([1 + problem.true_excess(w) for w in unseen])
    believed = surrogate.used(np.array(unseen))[:, 0]
    assert np.abs(believed - truth).mean() < 0.05
    accuracy = np.array([problem.true_quality(w) for w in unseen])
    assert np.corrcoef(surrogate.quality(np.array(unseen)), accuracy)[0, 1] > 0.9


def test_failures_teach_nothing_and_break_nothing():
    given, evaluations = seen(SyntheticProblem(5, difficulty=Difficulty(failing=1.0)), 20)
    surrogate = Surrogate(given)
    surrogate.fit(evaluations)
    assert not surrogate.known


def test_what_was_not_scored_teaches_its_cost_alone():
    problem = SyntheticProblem(8, seed=3)
    given, evaluations = seen(problem, 120)
    scored, unscored = Surrogate(given), Surrogate(given)
    scored.fit(evaluations[:90])
    more = [replace(e, score=None, quality=None, share=0.0) for e in evaluations[90:]]
    unscored.fit(evaluations[:90] + more)
    widths = np.array([e.candidate.widths for e in evaluations[90:]])
    assert np.array_equal(scored.quality(widths), unscored.quality(widths))
    used = np.array([1 + e.worst_excess for e in evaluations[90:]])
    near, far = (
        np.abs(surrogate.used(widths)[:, 0] - used).mean() for surrogate in (unscored, scored)
    )
    assert near < far


def test_sums_around_a_centre_are_exact_there():
    given, evaluations = seen(SyntheticProblem(5, seed=1), 60)
    surrogate = Surrogate(given)
    surrogate.fit(evaluations)
    centre = given.space.uniform(0.6).widths
    losses, costs = surrogate.around(centre)
    places = [g.choices.index(w) for g, w in zip(given.space.groups, centre, strict=True)]
    total = sum(loss[p] for loss, p in zip(losses, places, strict=True))
    cost = sum(row[p] for row, p in zip(costs[0], places, strict=True))
    assert np.isclose(total, surrogate.loss(np.array([centre]))[0])
    assert np.isclose(cost, surrogate.used(np.array([centre]))[0, 0])
