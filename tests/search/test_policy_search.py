"""The policy's search: its history tells the truth, and a killed one goes on exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprune.progress import Progress, Silent
from hwprune.search import policy_search
from hwprune.search.evaluator import Evaluator
from hwprune.testing.synthetic_problem import SyntheticProblem


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


def run(checkpoint: Path | None, progress: Progress | None = None):
    """Search a fixed problem; the candidates in order, and the history."""
    problem = SyntheticProblem(8, seed=5).search_problem(60)
    evaluator = Evaluator(problem)
    history = policy_search.search(
        problem, evaluator, progress=progress or Silent(), checkpoint=checkpoint
    )
    return [e.candidate for e in evaluator.evaluations("policy")], history


def test_a_killed_search_resumes_with_the_same_candidates_in_the_same_order(tmp_path):
    whole, history = run(None)
    with pytest.raises(Killed):
        run(tmp_path, Dying(after=35))
    resumed, resumed_history = run(tmp_path)
    assert resumed == whole
    assert resumed_history == history


def test_what_is_kept_is_not_pickled(tmp_path):
    run(tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} <= {".json", ".jsonl", ".safetensors"}


def test_the_history_counts_every_evaluation_and_never_loses_the_best():
    candidates, history = run(None)
    assert history[-1]["evaluations"] == len(candidates)
    best = [step["best_accuracy"] for step in history if step["best_accuracy"]]
    assert best == sorted(best)
    assert all(m >= 0 for step in history for m in step["multipliers"].values())
