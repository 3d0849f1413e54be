"""The algorithm on RLlib: overlap, recorded probabilities, prices, and its state."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns

from hwprune.progress import Silent
from hwprune.search import checkpoint
from hwprune.search.advisor import Advisor
from hwprune.search.algorithm import ConstrainedPPO, write_outcomes
from hwprune.search.connector import COSTS
from hwprune.search.desk import Desk, Outcomes
from hwprune.search.episodes import to_arrays, to_episodes
from hwprune.search.evaluator import Evaluator
from hwprune.search.policy_search import PolicySettings, build_algorithm, search
from hwprune.search.spread import spread_candidates
from hwprune.search.turn import Turn
from hwprune.testing.synthetic_problem import Difficulty, SyntheticProblem

SETTINGS = PolicySettings(proposals=8)


def make(groups: int = 4, evaluations: int = 60) -> ConstrainedPPO:
    problem = SyntheticProblem(groups, seed=1).search_problem(evaluations)
    turn = Turn("policy", Evaluator(problem), Silent())
    turn.ask(spread_candidates(problem, 15))
    advisor = Advisor(problem)
    advisor.learn(turn.evaluations)
    algorithm = build_algorithm(problem, SETTINGS)
    algorithm.attach(Desk(turn, advisor, SETTINGS.batch))
    return algorithm


@pytest.fixture(scope="module")
def algorithm() -> Iterator[ConstrainedPPO]:
    made = make()
    yield made
    made.stop()


def outcomes(quality: np.ndarray, used: float) -> Outcomes:
    count = len(quality)
    return Outcomes(quality=quality, used=np.full((count, 1), used), measured=np.ones(count, bool))


def test_before_it_learned_the_policy_is_the_advice(algorithm):
    episodes, _ = algorithm._propose()
    for episode in episodes:
        mean = episode.get_extra_model_outputs(Columns.ACTION_DIST_INPUTS)[:, 0]
        assert mean == pytest.approx(episode.get_observations()[:-1, -1], abs=1e-5)


def test_the_probabilities_that_are_learned_from_are_the_recorded_ones(algorithm):
    episodes, _ = algorithm._propose()
    recorded = to_arrays(episodes)
    inputs = torch.as_tensor(recorded[Columns.ACTION_DIST_INPUTS])
    spread = torch.distributions.Normal(inputs[..., 0], inputs[..., 1].exp())
    expected = spread.log_prob(torch.as_tensor(recorded[Columns.ACTIONS])[..., 0])
    assert recorded[Columns.ACTION_LOGP] == pytest.approx(expected.numpy(), abs=1e-4)
    # The batch waits while the policy changes; what the learner then gets is what was recorded.
    other, _ = algorithm._propose()
    write_outcomes(other, outcomes(np.linspace(0.4, 0.8, 8), 1.1), 0.94)
    algorithm._learn(other)
    write_outcomes(episodes, outcomes(np.linspace(0.4, 0.8, 8), 1.1), 0.94)
    pipeline = algorithm.learner._learner_connector
    batch = pipeline(
        rl_module=algorithm.learner.module, batch={}, episodes=episodes, shared_data={}
    )[DEFAULT_MODULE_ID]
    real = batch[Columns.LOSS_MASK].numpy().astype(bool)
    assert real.sum() == recorded[Columns.ACTION_LOGP].size
    got = batch[Columns.ACTION_LOGP].numpy()[real]
    assert got == pytest.approx(recorded[Columns.ACTION_LOGP].reshape(-1))


def test_prices_rise_while_over_the_budget_and_fall_below_it(algorithm):
    def price_after(used: float) -> float:
        episodes, _ = algorithm._propose()
        write_outcomes(episodes, outcomes(np.linspace(0.5, 0.7, 8), used), 0.94)
        algorithm._learn(episodes)
        return float(algorithm.learner.multiplier.values[0])

    start = float(algorithm.learner.multiplier.values[0])
    over = [price_after(1.3) for _ in range(3)]
    assert min(over) > start
    assert price_after(0.8) < min(over)


def test_learning_moves_proposals_towards_what_was_rewarded():
    algorithm = make(groups=3)
    module = algorithm.learner.module[DEFAULT_MODULE_ID].unwrapped()

    def lean() -> float:
        episodes, _ = algorithm._propose()
        seen = torch.as_tensor(np.concatenate([e.get_observations()[:-1] for e in episodes]))
        with torch.no_grad():
            return float(module._correction(seen).mean())

    before = lean()
    for _ in range(15):
        episodes, _ = algorithm._propose()
        wide = np.array([e.get_actions().mean() for e in episodes])
        write_outcomes(episodes, outcomes(0.5 + 0.2 * wide, 0.9), 0.94)
        algorithm._learn(episodes)
    assert lean() > before + 0.02
    algorithm.stop()


def test_a_learner_put_back_from_disk_is_the_same(algorithm, tmp_path):
    checkpoint.save(tmp_path, algorithm.learner_state())
    kept = checkpoint.load(tmp_path)
    assert kept is not None
    other = make()
    other.set_learner_state(kept)
    mine, theirs = (a.learner.module[DEFAULT_MODULE_ID].state_dict() for a in (algorithm, other))
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    assert np.array_equal(other.learner.multiplier.values, algorithm.learner.multiplier.values)
    # The sampling copy follows too, or the next batch would come from another policy.
    sampling = other.env_runner.module.state_dict()
    assert all(
        torch.equal(value, algorithm.env_runner.module.state_dict()[name])
        for name, value in sampling.items()
    )
    other.stop()


def test_episodes_come_back_from_arrays(algorithm):
    episodes, _ = algorithm._propose()
    back = to_episodes(to_arrays(episodes))
    write_outcomes(back, outcomes(np.full(8, 0.7), 1.2), 0.94)
    for old, new in zip(episodes, back, strict=True):
        assert np.array_equal(old.get_observations(), new.get_observations())
        assert np.array_equal(old.get_actions(), new.get_actions())
        assert len(new) == len(old) and new.is_terminated
        assert new.get_infos(-1)[COSTS] == pytest.approx([2.0])


def test_the_next_batch_is_under_way_while_the_last_one_is_learned_from():
    slow = SyntheticProblem(10, seed=2, difficulty=Difficulty(delay_s=0.005))
    problem = slow.search_problem(80)
    evaluator = Evaluator(problem)
    ahead: list[int] = []

    class Watching(Silent):
        def advance(self, count: int = 1, note: str = "") -> None:
            """How much was asked for and is not yet taken in."""
            done = len(ahead) + 1
            ahead.append(problem.evaluations - evaluator.remaining("policy") - done)

    search(problem, evaluator, progress=Watching(), settings=SETTINGS)
    start = int(problem.evaluations * SETTINGS.start_share)
    assert len(ahead) == problem.evaluations
    # Without overlap nothing would be waiting when the last of a batch is taken in.
    assert min(ahead[start : -SETTINGS.batch]) > 0
