"""The Lagrangian: a reward is charged where its cost was told, and once."""

from __future__ import annotations

import numpy as np
import pytest
from ray.rllib.connectors.learner import AddOneTsToEpisodesAndTruncate
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.replay_buffers.episode_replay_buffer import EpisodeReplayBuffer

from hwprune.search.policy.environment import BUDGET, COSTS
from hwprune.search.policy.lagrangian import charge

PRICES = {"": np.array([2.0, 0.5])}
COST = np.array([0.1, 0.4])


def episode(steps: int = 3) -> SingleAgentEpisode:
    return SingleAgentEpisode(
        observations=[np.zeros(2, np.float32) for _ in range(steps + 1)],
        actions=[np.zeros(1, np.float32) for _ in range(steps)],
        rewards=[0.0] * (steps - 1) + [1.0],
        infos=[{} for _ in range(steps)] + [{COSTS: COST, BUDGET: ""}],
        terminated=True,
        len_lookback_buffer=0,
    )


def test_the_last_reward_is_charged_and_no_other():
    played = episode().to_numpy()
    charge(played, PRICES)
    assert played.get_rewards() == pytest.approx([0.0, 0.0, 1.0 - 0.2 - 0.2])


def test_the_step_that_ppo_appends_is_not_charged():
    played = episode()
    AddOneTsToEpisodesAndTruncate()(rl_module=None, batch={}, episodes=[played], shared_data={})
    charge(played, PRICES)
    assert played.get_rewards() == pytest.approx([0.0, 0.0, 0.6, 0.0])


def test_what_a_buffer_replays_is_charged_each_time_and_the_buffer_is_not():
    buffer = EpisodeReplayBuffer(capacity=100)
    buffer.add([episode(1).to_numpy()])
    for _ in range(2):
        for replayed in buffer.sample(num_items=4, n_step=1, gamma=1.0, sample_episodes=True):
            charge(replayed, PRICES)
            assert replayed.get_rewards() == pytest.approx([0.6])


def test_an_episode_without_a_cost_is_left_as_it_is():
    played = episode().to_numpy()
    played.infos.data[-1] = {}
    charge(played, PRICES)
    assert played.get_rewards() == pytest.approx([0.0, 0.0, 1.0])
