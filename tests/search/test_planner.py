"""The planner: it finds what exhaustive search finds, and keeps the limits."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hwprune.candidate import SearchSpace
from hwprune.search.evaluator import Evaluator
from hwprune.search.planner import Planner
from hwprune.search.spread import spread_candidates
from hwprune.search.surrogate import Surrogate
from tests.doubles.synthetic_problem import SyntheticProblem


def learned(groups: int, seed: int, constraints: tuple[str, ...] = ("latency_ms",)) -> Surrogate:
    given = SyntheticProblem(groups, seed=seed, constraints=constraints).search_problem(60)
    evaluator = Evaluator(given, "x")
    evaluator.ask(spread_candidates(given, 60))
    surrogate = Surrogate(given)
    surrogate.fit(evaluator.evaluations)
    return surrogate


@pytest.mark.parametrize("seed", range(3))
def test_no_candidate_within_the_limit_is_believed_better(seed):
    surrogate = learned(5, seed)
    plan = np.array([Planner(surrogate).best([], aim=0.98, number=0)])
    every = np.array(list(itertools.product(*(g.choices for g in surrogate.problem.space.groups))))
    fits = surrogate.used(every).max(axis=1) <= 0.98
    assert surrogate.used(plan)[0, 0] <= 0.985
    assert surrogate.loss(plan)[0] <= surrogate.loss(every[fits]).min() + 0.03


def test_several_limits_are_all_kept():
    surrogate = learned(8, 1, ("latency_ms", "params"))
    plan = Planner(surrogate).best([], aim=0.97, number=0)
    assert (surrogate.used(np.array([plan])) <= 0.98).all()


def test_a_limit_out_of_reach_gives_a_plan_as_near_as_can_be():
    surrogate = learned(4, 0)
    plan = np.array([Planner(surrogate).best([], aim=0.01, number=0)])
    smallest = np.array([surrogate.problem.space.smallest.widths])
    assert surrogate.used(plan)[0, 0] <= surrogate.used(smallest)[0, 0] + 0.02


def test_the_same_beliefs_and_starts_give_the_same_plan():
    surrogate = learned(10, 2)
    start = [surrogate.problem.space.uniform(0.5).widths]
    first, second = (Planner(surrogate).best(start, aim=0.98, number=7) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("choices", [1, 2])
def test_a_space_with_hardly_a_choice_has_a_plan(choices):
    given = SyntheticProblem(1, seed=0).search_problem(20)
    (group,), (harm,) = given.space.groups, given.harm
    narrow = replace(group, choices=group.choices[-choices:])
    given = replace(given, space=SearchSpace(groups=(narrow,)), harm=(harm[-choices:],))
    evaluator = Evaluator(given, "model")
    evaluator.ask([given.space.widest, given.space.smallest])
    surrogate = Surrogate(given)
    surrogate.fit(evaluator.evaluations)
    plan = Planner(surrogate).best([given.space.widest.widths], aim=1.0, number=0)
    assert plan[0] in narrow.choices


def test_a_group_that_is_fixed_at_less_than_its_width_stays_there():
    given = SyntheticProblem(4, seed=0).search_problem(20)
    (group, *groups), (harm, *harms) = given.space.groups, given.harm
    fixed = replace(group, choices=group.choices[:1])
    given = replace(given, space=SearchSpace(groups=(fixed, *groups)), harm=(harm[:1], *harms))
    evaluator = Evaluator(given, "model")
    evaluator.ask(spread_candidates(given, 20))
    surrogate = Surrogate(given)
    surrogate.fit(evaluator.evaluations)
    plan = Planner(surrogate).best([given.space.widest.widths], aim=5.0, number=0)
    assert plan[0] in fixed.choices
