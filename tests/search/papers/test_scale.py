"""Running scales: what the agents see has a spread of about 1, whatever its unit."""

from __future__ import annotations

import numpy as np
import pytest

from hwprune.search.papers.scale import MOST, ReturnScale, RunningScale


def test_mean_and_variance_are_those_of_everything_seen():
    rows = np.random.default_rng(0).normal([3.0, -2.0], [5.0, 0.1], (500, 2))
    scale = RunningScale(2)
    for part in np.split(rows, 10):
        scale.see(part)
    assert scale.mean == pytest.approx(rows.mean(axis=0), abs=1e-3)
    assert scale.variance == pytest.approx(rows.var(axis=0), rel=1e-2)
    assert abs(scale.standardised(rows).std(axis=0) - 1).max() < 0.01


def test_outliers_are_held():
    scale = RunningScale()
    scale.see(np.array([[0.0], [1.0]]))
    assert scale.standardised(np.array([[1e9]])).item() == MOST


def test_rewards_are_divided_and_keep_their_sign():
    scale = ReturnScale(episodes=1, discount=0.99)
    for reward in np.random.default_rng(0).normal(90.0, 5.0, 200):
        scaled = scale.scaled(np.array([reward]), over=True)
    assert scaled.item() > 0
    assert scaled.item() == pytest.approx(reward / 5.0, rel=0.2) or scaled.item() == MOST
