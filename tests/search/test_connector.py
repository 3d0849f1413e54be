"""Advantages: against a computation by hand, phantom rows included."""

from __future__ import annotations

import numpy as np
import pytest

from hwprune.search.connector import advantages, mix


def test_two_episodes_by_hand_with_phantom_rows():
    # Episode A: rewards 0, 1; episode B: rewards 0, 0, 2. The last row of each is a phantom,
    # with a value that must not count: episodes terminate.
    rewards = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0])[:, None]
    values = np.array([0.5, 0.25, 99.0, 1.0, 0.5, 0.75, -99.0])[:, None]
    gained, targets = advantages(rewards, values, [3, 4], 0.5)
    a1 = 1.0 - 0.25
    a0 = (0.0 + 0.25 - 0.5) + 0.5 * a1
    b2 = 2.0 - 0.75
    b1 = (0.0 + 0.75 - 0.5) + 0.5 * b2
    b0 = (0.0 + 0.5 - 1.0) + 0.5 * b1
    assert gained[:, 0] == pytest.approx([a0, a1, 0.0, b0, b1, b2, 0.0])
    assert targets == pytest.approx(gained + values)


def test_with_lambda_one_the_target_is_the_return():
    rewards = np.zeros((5, 2))
    rewards[3] = [3.0, -1.0]
    values = np.random.default_rng(0).normal(size=(5, 2))
    _, targets = advantages(rewards, values, [5], 1.0)
    assert targets[:4] == pytest.approx(np.tile([3.0, -1.0], (4, 1)))


def test_mixed_advantages_are_normalised_over_real_rows_only():
    chance = np.random.default_rng(1)
    gain, harm = chance.normal(size=8), chance.normal(size=(8, 2))
    real = np.array([True] * 3 + [False] + [True] * 3 + [False])
    mixed = mix(gain, harm, np.array([2.0, 0.5]), real)
    assert mixed[real].mean() == pytest.approx(0.0, abs=1e-12)
    assert mixed[real].std() == pytest.approx(1.0)
    assert not mixed[~real].any()


def test_a_price_turns_the_preference():
    gain, harm = np.array([1.0, 0.0]), np.array([[1.0], [0.0]])
    real = np.array([True, True])
    assert mix(gain, harm, np.array([0.5]), real)[0] > 0
    assert mix(gain, harm, np.array([2.0]), real)[0] < 0
