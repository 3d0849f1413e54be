"""The policy's search: with any algorithm, alone or beside the model; a killed one goes on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ppo import PPOConfig

from hwprune.errors import InputError, RunFolderError
from hwprune.progress import Progress, Silent
from hwprune.search.evaluator import Evaluator
from hwprune.search.policy import policy_search
from hwprune.search.problem import PolicySettings
from tests.doubles.synthetic_problem import SyntheticProblem

pytestmark = pytest.mark.usefixtures("cluster")


class Killed(Exception):
    """Stands for a kill: raised in the middle of an evaluation."""


class Dying(Silent):
    """Progress that ends the search after so many evaluations, wherever that is."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count down."""
        self.left -= count
        if self.left <= 0:
            raise Killed

    # Simulated problems answer at once.
    skip = advance


def searched(
    method: str,
    algorithm: str = "ppo-lagrange",
    *,
    evaluations: int = 40,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Evaluator:
    synthetic = SyntheticProblem(6, seed=5)
    problem = replace(
        synthetic.search_problem(evaluations), policy=PolicySettings(algorithm=algorithm)
    )
    evaluator = Evaluator(problem, method, progress, folder)
    policy_search.search(evaluator)
    return evaluator


def my_config() -> AlgorithmConfig:
    """A user's own, that knows nothing of pruning."""
    return PPOConfig().training(lr=5e-4)


def no_config() -> str:
    """Not what is wanted."""
    return "PPO"


@pytest.fixture(scope="module")
def by_policy(cluster, tmp_path_factory):
    """One search by the policy alone, and its folder."""
    folder = tmp_path_factory.mktemp("policy")
    return searched("policy", folder=folder), folder


def test_the_policy_proposes_all_but_the_first(by_policy):
    _is_whole(by_policy[0])


@pytest.mark.heavy
@pytest.mark.parametrize("algorithm", ["sac-lagrange", f"{__name__}:my_config"])
def test_one_line_chooses_the_algorithm(algorithm):
    _is_whole(searched("policy", algorithm))


def _is_whole(found: Evaluator) -> None:
    assert len(found.evaluations) == 40 and found.best is not None
    assert Counter(e.proposed_by for e in found.evaluations) == {"start": 6, "policy": 34}
    assert all(m >= 0 for row in found.history for m in row["multipliers"].values())


@pytest.mark.heavy
@pytest.mark.parametrize("algorithm", ["ppo-lagrange", "sac-lagrange"])
def test_beside_the_model_each_proposes_its_share(algorithm):
    found = searched("policy+model", algorithm)
    by = Counter(e.proposed_by for e in found.evaluations)
    assert by["policy"] >= 12 and by["model"] + by["chance"] >= 12
    assert len(found.evaluations) == 40


@pytest.mark.parametrize("algorithm", ["ppo", f"{__name__}:no_config", "no.such:thing"])
def test_an_algorithm_that_is_none_is_an_error_in_words(algorithm):
    with pytest.raises(InputError) as caught:
        searched("policy", algorithm)
    assert caught.value.possible or caught.value.given


def test_a_killed_search_loses_no_evaluation_and_keeps_what_it_learned(tmp_path):
    with pytest.raises(Killed):
        searched("policy+model", folder=tmp_path, progress=Dying(after=33))
    kept = policy_search._load(tmp_path)
    assert kept is not None and len(kept["asked"]) >= 20
    resumed = searched("policy+model", folder=tmp_path)
    widths = [list(e.candidate.widths) for e in resumed.evaluations]
    assert widths[: len(kept["asked"])] == kept["asked"]
    by = [e.proposed_by for e in resumed.evaluations]
    assert by[: len(kept["proposed_by"])] == kept["proposed_by"]
    assert len(widths) == 40
    assert resumed.history[: len(kept["history"])] == kept["history"]


def test_what_is_kept_is_not_pickled_and_a_broken_file_is_said(by_policy, tmp_path):
    (file,) = by_policy[1].iterdir()
    assert file.suffix == ".safetensors"
    (tmp_path / file.name).write_bytes(b"broken")
    with pytest.raises(RunFolderError):
        searched("policy", folder=tmp_path)


def test_the_history_counts_every_evaluation_and_never_loses_the_best(by_policy):
    found, _ = by_policy
    assert found.history[-1]["evaluations"] == 40
    best = [row["best_quality"] for row in found.history if row["best_quality"]]
    assert best == sorted(best)
