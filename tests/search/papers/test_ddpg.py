"""DDPG: actions within their bounds, and an actor that goes where the reward is."""

from __future__ import annotations

import numpy as np
import pytest

from hwprune.search.papers.ddpg import Ddpg, DdpgConstants, Transition

STATE = np.array([0.5, 0.5])


def test_actions_stay_within_their_bounds():
    agent = Ddpg(2, 1, seed=0)
    actions = [agent.act(STATE) for _ in range(200)]
    actions += [agent.warm_up_action() for _ in range(200)]
    assert min(actions) >= 0.2 and max(actions) <= 1.0
    assert np.std(actions) > 0.1


@pytest.mark.parametrize("better", [1.0, pytest.param(-1.0, marks=pytest.mark.heavy)])
def test_the_actor_goes_where_the_reward_is(better):
    agent = Ddpg(2, 100, seed=0, constants=DdpgConstants(actor_lr=1e-3))

    def play(action: float) -> None:
        reward = better * action
        step = Transition(state=STATE, action=action, after=STATE, reward=reward, over=True)
        agent.remember([step])

    for _ in range(64):
        play(agent.warm_up_action())
    for _ in range(30):
        play(agent.act(STATE))
        agent.learn(5)
    found = np.mean([agent.act(STATE) for _ in range(20)])
    assert found > 0.8 if better > 0 else found < 0.4


@pytest.mark.filterwarnings("error")
def test_an_actor_below_its_bounds_acts_at_the_bound():
    agent = Ddpg(2, 1, seed=0, constants=DdpgConstants(least=0.9, noise=0.01))
    assert [agent.act(STATE) for _ in range(5)] == pytest.approx([0.9] * 5, abs=0.05)


def test_noise_dies_away():
    agent = Ddpg(2, 1, seed=0)
    agent.remember([Transition(state=STATE, action=0.5, after=STATE, reward=0.0, over=True)])
    early = np.std([agent.act(STATE) for _ in range(50)])
    for _ in range(100):
        agent.learn(0)
    assert np.std([agent.act(STATE) for _ in range(50)]) < early / 10
