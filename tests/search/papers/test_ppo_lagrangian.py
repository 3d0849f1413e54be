"""PPO-Lagrangian: advantages by hand, and a policy that learns what it may not exceed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwprune.search.papers.ppo_lagrangian import (
    DualVariable,
    PpoConstants,
    PpoLagrangian,
    advantages,
)


def test_advantages_of_a_terminal_reward_with_lambda_1_are_the_reward_less_the_value():
    rewards, values = np.array([[0.0], [0.0], [6.0]]), np.array([[1.0], [2.0], [3.0], [99.0]])
    over = np.array([False, False, True])
    found = advantages(rewards, values, over, discount=1.0, decay=1.0)
    assert found.ravel() == pytest.approx([5.0, 4.0, 3.0])


def test_what_comes_after_a_rollout_counts_where_the_episode_goes_on():
    rewards, values = np.array([[0.0]]), np.array([[1.0], [5.0]])
    found = advantages(rewards, values, np.array([False]), discount=0.5, decay=1.0)
    assert found.item() == pytest.approx(0.5 * 5.0 - 1.0)


def test_the_dual_variable_begins_where_it_is_told_to():
    assert DualVariable(start=1.0).value == pytest.approx(1.0)


def test_the_dual_variable_rises_while_the_cost_is_over_its_budget_and_falls_while_it_is_under():
    dual = DualVariable()
    values = []
    for cost in (70.0, 70.0, 70.0, *[1.0] * 40):
        dual.update(cost, 10.0)
        values.append(dual.value)
    assert 1.0 < values[0] < values[1] < values[2]
    assert 0 < values[-1] < 0.1


def test_the_dual_variable_goes_on_rising_a_while_after_the_budget_is_kept():
    """The overshoot of the paper's own curves: Adam's momentum knows no brake."""
    dual = DualVariable()
    for _ in range(20):
        dual.update(70.0, 10.0)
    before = dual.value
    dual.update(9.0, 10.0)
    assert dual.value > before


class OneStep:
    """An action x in 0..1 earns 100 x and costs 100 x."""

    count, observation_size, action_size = 3, 2, 1

    def __init__(self, rollouts: int) -> None:
        self.left = rollouts * 64
        self.costs: list[float] = []

    def observe(self) -> np.ndarray:
        return np.tile([1.0, 0.0], (3, 1))

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool] | None:
        if self.left == 0:
            return None
        self.left -= 1
        earned = 100 * np.clip(actions[:, 0], 0, 1)
        self.costs.append(float(earned.mean()))
        return earned, earned.copy(), True


FAST = PpoConstants(lr=3e-3, dual_lr=0.1, steps=64)


@pytest.mark.heavy
def test_without_a_limit_it_learns_to_earn():
    episodes = OneStep(16)
    PpoLagrangian(episodes, seed=0, constants=FAST).learn(budget=1000.0)
    assert np.mean(episodes.costs[:64]) < 45
    assert np.mean(episodes.costs[-64:]) > 60


def test_a_limit_holds_it_back():
    episodes = OneStep(16)
    PpoLagrangian(episodes, seed=0, constants=FAST).learn(budget=20.0)
    assert np.mean(episodes.costs[-64:]) < 32


def test_the_same_seed_gives_the_same_actions_and_leaves_torchs_generator_alone():
    before = torch.get_rng_state()
    one, two = (PpoLagrangian(OneStep(1), seed=4).act(np.ones((5, 2))) for _ in range(2))
    assert (one == two).all()
    assert torch.equal(before, torch.get_rng_state())
