"""The environment: a plain one of gymnasium, whose last step tells what was measured."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import ray
from gymnasium.utils.env_checker import check_env

from hwprune.layer import ChannelCount
from hwprune.products import Products
from hwprune.search.policy.environment import COSTS, REACH, PruningEnvironment, make, played
from hwprune.search.policy.view import Costs, View
from tests.doubles.synthetic_problem import SyntheticProblem
from tests.search.policy.conftest import Answered

GROUPS = 5


def environment_of(answered: Answered) -> PruningEnvironment:
    return PruningEnvironment({"service": answered.name})


def test_gymnasium_finds_nothing_wrong_with_it(answered):
    check_env(environment_of(answered), skip_render_check=True)


def test_an_episode_is_one_step_a_group_and_ends_with_what_was_measured(answered):
    environment = environment_of(answered)
    observation, _ = environment.reset()
    for group in range(GROUPS):
        assert observation in environment.observation_space
        observation, reward, ended, cut, info = environment.step(np.array([0.7], np.float32))
        assert ended == (group == GROUPS - 1) and not cut
        if not ended:
            assert reward == 0 and COSTS not in info
    outcome = answered.outcome(tuple(environment._widths.tolist()))
    assert reward == outcome.reward and np.array_equal(info[COSTS], outcome.costs)


def test_every_width_has_an_action_and_actions_beyond_the_range_are_the_ends(answered):
    environment = environment_of(answered)
    for number, group in enumerate(answered.problem.space.groups):
        for width in group.choices:
            action = environment.action_of(number, width)
            assert abs(action) <= REACH + 1e-9
            assert environment.width_of(number, action) == width
        assert environment.width_of(number, -9.0) == group.choices[0]
        assert environment.width_of(number, 9.0) == group.choices[-1]


def test_what_others_had_evaluated_becomes_the_episode_that_was_not_played(answered):
    environment = environment_of(answered)
    widths = answered.problem.space.uniform(0.6).widths
    observations, actions = played(environment, widths)
    seen, _ = environment.reset()
    for group in range(GROUPS):
        assert np.array_equal(seen, observations[group])
        seen, *_ = environment.step(actions[group])
    assert np.array_equal(seen, observations[-1])
    assert tuple(environment._widths.tolist()) == widths


def test_what_can_be_counted_is_seen_exactly(own):
    # A cost of the first group's width alone, of which 10 are allowed.
    counted = Products(
        times=np.ones(1),
        first=[ChannelCount(fixed=0, per_unit=((0, 1),))],
        second=[ChannelCount(fixed=1)],
    )
    believed = tuple(np.zeros(len(g.choices)) for g in own.problem.space.groups)
    costs = Costs(
        budget="",
        budgets=np.array([0.5, 0.25]),
        believed=(believed, believed),
        forms=(None, (counted, 10.0)),
    )
    ray.get(own.service.report_costs.remote(costs))
    environment = environment_of(own)
    environment.reset()
    observation, *_ = environment.step(np.array([9.0], np.float32))
    widest = own.problem.space.groups[0].choices[-1]
    *_, believed_used, counted_used, latency, params, _ = observation
    assert (believed_used, counted_used) == pytest.approx((0.0, min(10.0, widest / 10)))
    assert (latency, params) == (-1.0, -2.0)


def test_side_by_side_all_are_asked_for_before_the_first_is_waited_for(own):
    own.least = 4
    several = make({"service": own.name, "num_envs": 4})
    assert isinstance(several, gymnasium.vector.VectorEnv)
    several.reset()
    for _ in range(GROUPS):
        actions = several.action_space.sample()
        _, rewards, ended, _, infos = several.step(actions)
    assert ended.all() and (rewards > 0).all()
    assert infos[COSTS].shape == (4, 2)
    several.step(actions)
    _, _, ended, *_ = several.step(actions)
    assert not ended.any()


def test_where_nothing_may_be_asked_any_more_an_episode_ends_without_a_cost(own):
    environment = environment_of(own)
    ray.get(own.service.close.remote())
    environment.reset()
    for _ in range(GROUPS):
        _, reward, ended, _, info = environment.step(np.zeros(1, np.float32))
    assert ended and reward == 0 and info == {}


def test_neighbours_share_a_layer():
    view = View.of(SyntheticProblem(5, seed=1).search_problem(60))
    assert view.neighbours[0].tolist() == [0, 1, 0, 0, 0]
    assert view.neighbours[2].tolist() == [0, 0.5, 0, 0.5, 0]
