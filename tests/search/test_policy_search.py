"""The policy's search: its history tells the truth, and a killed one goes on exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwprune.progress import Progress, Silent
from hwprune.search import checkpoint as disk
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

    # Simulated problems answer at once.
    skip = advance


def run(
    checkpoint: Path | None,
    progress: Progress | None = None,
    *,
    evaluations: int = 60,
    boards: int = 1,
):
    """Search a fixed problem; the candidates in order, and the history."""
    problem = SyntheticProblem(8, seed=5).search_problem(evaluations, boards=boards)
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


def test_with_several_boards_a_killed_search_resumes_all_the_same(tmp_path):
    whole, history = run(None, evaluations=120, boards=4)
    with pytest.raises(Killed):
        run(tmp_path, Dying(after=70), evaluations=120, boards=4)
    resumed, resumed_history = run(tmp_path, evaluations=120, boards=4)
    assert resumed == whole
    assert resumed_history == history


@pytest.mark.parametrize(("before", "after"), [(4, 1), (1, 4)])
def test_a_search_goes_on_with_another_number_of_boards(tmp_path, before, after):
    with pytest.raises(Killed):
        run(tmp_path, Dying(after=70), evaluations=120, boards=before)
    kept = disk.load(tmp_path)
    assert kept is not None
    candidates, history = run(tmp_path, evaluations=120, boards=after)
    assert [list(c.widths) for c in candidates[: len(kept["asked"])]] == kept["asked"]
    assert history[: len(kept["history"])] == kept["history"]
    assert history[-1]["evaluations"] == len(candidates) == 120


def test_what_is_kept_is_not_pickled(tmp_path):
    run(tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} <= {".json", ".jsonl", ".safetensors"}


def test_the_history_counts_every_evaluation_and_never_loses_the_best():
    candidates, history = run(None)
    assert history[-1]["evaluations"] == len(candidates)
    best = [step["best_quality"] for step in history if step["best_quality"]]
    assert best == sorted(best)
    assert all(m >= 0 for step in history for m in step["multipliers"].values())
