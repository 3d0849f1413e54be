"""sensitive+ddpg: every episode can keep the budget, and groups without a choice are left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwprune.candidate import SearchSpace
from hwprune.search.evaluator import Evaluator
from hwprune.search.papers import sensitive_ddpg
from hwprune.search.papers.ddpg import Ddpg
from hwprune.search.papers.sensitive_ddpg import GroupWalk
from tests.doubles.synthetic_problem import SyntheticProblem


def with_a_fixed_group(problem):
    first, *others = problem.space.groups
    fixed = replace(first, choices=(first.width,))
    return replace(problem, space=SearchSpace(groups=(fixed, *others)))


@pytest.mark.parametrize("target", [0.3, 0.5, 0.8])
def test_random_episodes_keep_the_estimated_cost(target):
    problem = SyntheticProblem(10, seed=3).search_problem(60)
    walk = GroupWalk(problem)
    agent = Ddpg(walk.state_size, len(walk.groups), seed=1)
    for _ in range(20):
        candidate, steps = walk.play(agent, target, warming=True)
        assert problem.estimate(candidate.widths) <= target + 1e-9
        assert len(steps) == 10
        assert [step.over for step in steps] == [False] * 9 + [True]


def test_what_sensitive_layers_are_given_stays():
    problem = with_a_fixed_group(SyntheticProblem(6, seed=0).search_problem(30))
    evaluator = Evaluator(problem, "sensitive+ddpg")
    sensitive_ddpg.search(evaluator)
    width = problem.space.groups[0].width
    assert {e.candidate.widths[0] for e in evaluator.evaluations} == {width}
    assert len(GroupWalk(problem).groups) == 5


def test_where_every_layer_is_given_the_one_candidate_is_evaluated():
    problem = SyntheticProblem(3, seed=0).search_problem(30)
    groups = tuple(replace(group, choices=(group.width,)) for group in problem.space.groups)
    problem = replace(problem, space=SearchSpace(groups=groups))
    evaluator = Evaluator(problem, "sensitive+ddpg")
    sensitive_ddpg.search(evaluator)
    assert [e.candidate for e in evaluator.evaluations] == [problem.space.unpruned]
