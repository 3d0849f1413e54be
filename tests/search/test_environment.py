"""The environment: one step a group, clipped actions, one batch handed in at the end."""

from __future__ import annotations

import numpy as np

from hwprune.progress import Silent
from hwprune.search.advisor import Advisor
from hwprune.search.desk import Desk
from hwprune.search.environment import ADVICE, BEFORE, LEFT, SPENT, PruningEnvironment
from hwprune.search.evaluator import Evaluator
from hwprune.search.spread import spread_candidates
from hwprune.search.turn import Turn
from hwprune.testing.synthetic_problem import SyntheticProblem

EPISODES, GROUPS = 6, 5


def make(start: int = 20) -> tuple[PruningEnvironment, Desk]:
    problem = SyntheticProblem(GROUPS, seed=1).search_problem(60)
    turn = Turn("policy", Evaluator(problem), Silent())
    turn.ask(spread_candidates(problem, start))
    advisor = Advisor(problem)
    advisor.learn(turn.evaluations)
    environment = PruningEnvironment({"features": problem.features.tolist(), "num_envs": EPISODES})
    desk = Desk(turn, advisor, 3)
    environment.attach(desk)
    return environment, desk


def play(environment: PruningEnvironment, actions: np.ndarray) -> list[np.ndarray]:
    """Play one batch with `actions` [groups, episodes]; the observations."""
    seen = [environment.reset()[0]]
    for group, row in enumerate(actions):
        observation, rewards, ended, cut_short, _ = environment.step(row[:, None])
        assert observation in environment.observation_space
        assert not rewards.any() and not cut_short.any()
        assert ended.all() == (group == GROUPS - 1) and ended.any() == ended.all()
        seen.append(observation)
    return seen


def test_an_episode_is_one_step_a_group_and_shows_which():
    environment, _ = make()
    seen = play(environment, np.zeros((GROUPS, EPISODES)))
    columns = environment.features.shape[1]
    for group in range(GROUPS):
        assert np.allclose(seen[group][:, :columns], environment.features[group])
        assert np.array_equal(
            seen[group][:, columns : columns + GROUPS],
            np.tile(np.eye(GROUPS)[group], (EPISODES, 1)),
        )
    assert len(seen) == GROUPS + 1


def test_actions_beyond_the_range_are_the_smallest_and_the_largest_width():
    environment, desk = make()
    actions = np.zeros((GROUPS, EPISODES))
    actions[:, 0], actions[:, 1] = -9.0, 9.0
    seen = play(environment, actions)
    assert environment.ticket is not None
    widths = environment.ticket.widths
    assert tuple(widths[0]) == desk.turn.problem.space.smallest.widths
    assert tuple(widths[1]) == desk.turn.problem.space.unpruned.widths
    assert seen[1][0, BEFORE] == -1.0 and seen[1][1, BEFORE] == 1.0


def test_every_width_handed_in_is_one_that_is_offered():
    environment, desk = make()
    play(environment, np.random.default_rng(0).normal(0, 1, (GROUPS, EPISODES)))
    assert environment.ticket is not None
    for row in environment.ticket.widths:
        for width, group in zip(row, desk.turn.problem.space.groups, strict=True):
            assert width in group.choices


def test_spending_more_is_seen_and_lowers_the_advice():
    environment, _ = make()
    actions = np.zeros((GROUPS, EPISODES))
    actions[:, 0], actions[:, 1] = -1.0, 1.0
    seen = play(environment, actions)
    assert seen[-2][1, SPENT] > seen[-2][0, SPENT]
    assert seen[-2][1, ADVICE] <= seen[-2][0, ADVICE]


def test_only_a_batch_is_evaluated_and_what_is_left_is_seen():
    environment, desk = make()
    before = desk.turn.left
    first = play(environment, np.random.default_rng(0).uniform(-1, 1, (GROUPS, EPISODES)))
    assert before - desk.turn.left == 3
    assert environment.ticket is not None and len(environment.ticket.asked) >= 3
    second = environment.reset()[0]
    assert np.allclose(first[0][:, LEFT], 1.0)
    assert np.allclose(second[:, LEFT], desk.turn.left / before)


def test_a_batch_is_measured_where_it_was_asked_and_believed_elsewhere():
    environment, desk = make()
    play(environment, np.random.default_rng(0).uniform(-1, 1, (GROUPS, EPISODES)))
    assert environment.ticket is not None
    outcomes = desk.resolve(environment.ticket)
    assert 3 <= outcomes.measured.sum() < EPISODES
    found = {e.candidate.widths: e for e in desk.turn.evaluations}
    for i, row in enumerate(environment.ticket.widths):
        evaluation = found.get(tuple(row))
        assert outcomes.measured[i] == (evaluation is not None)
        if evaluation is not None:
            assert outcomes.quality[i] == evaluation.quality
            assert outcomes.used[i, 0] == 1 + evaluation.excess["latency_ms"]
    assert np.isfinite(outcomes.quality).all() and np.isfinite(outcomes.used).all()
