"""cg: an episode is a candidate, and its cost is what it uses of the limit."""

from __future__ import annotations

import numpy as np
import pytest

from hwprune.search.evaluator import Evaluator
from hwprune.search.papers.cg import WidthEpisodes
from tests.doubles.synthetic_problem import SyntheticProblem


@pytest.fixture
def evaluator() -> Evaluator:
    return Evaluator(SyntheticProblem(5, seed=2).search_problem(20), "cg")


def played(episodes: WidthEpisodes, gone: float):
    """The outcomes of an episode's steps, all with one action."""
    return [episodes.step(np.full((episodes.count, 1), gone)) for _ in range(5)]


def test_reward_and_cost_come_with_the_last_step(evaluator):
    *first, last = played(WidthEpisodes(evaluator), 0.4)
    assert all(
        not over and not rewards.any() and not costs.any() for rewards, costs, over in first
    )
    (found,) = evaluator.evaluations
    rewards, costs, over = last
    assert over
    assert rewards == pytest.approx(100 * found.quality)
    # The mean of a step is then the percentage of the limit.
    assert costs / 5 == pytest.approx(100 * (1 + found.worst_excess))


def test_an_action_is_the_share_that_goes_and_never_all(evaluator):
    episodes = WidthEpisodes(evaluator)
    played(episodes, -3.0)
    played(episodes, 7.0)
    whole, least = (e.candidate for e in evaluator.evaluations)
    assert whole == evaluator.problem.space.unpruned
    assert least == evaluator.problem.space.nearest([0.1] * 5)


def test_the_sum_of_the_actions_is_part_of_the_state(evaluator):
    episodes = WidthEpisodes(evaluator)
    episodes.step(np.full((episodes.count, 1), 0.25))
    episodes.step(np.full((episodes.count, 1), 0.5))
    assert episodes.observe()[:, -1] == pytest.approx(0.75)
    assert (episodes.observe()[:, 0] == 2).all()
