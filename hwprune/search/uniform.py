"""Uniform cuts: the same share of every group, from the smallest network to the whole one."""

from __future__ import annotations

from pathlib import Path

from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem
from hwprune.search.turn import Turn


def search(
    problem: SearchProblem,
    evaluator: Evaluator,
    *,
    progress: Progress,
    checkpoint: Path | None = None,
) -> None:
    """Evaluate every different uniform cut, or as many as the allowance permits, evenly spread."""
    turn = Turn("uniform", evaluator, progress)
    fine = [problem.space.uniform(step / 1000) for step in range(1, 1001)]
    cuts = list(dict.fromkeys(fine))
    allowed = problem.evaluations
    if len(cuts) > allowed:
        cuts = [cuts[round(i * (len(cuts) - 1) / max(1, allowed - 1))] for i in range(allowed)]
    turn.ask(list(dict.fromkeys(cuts)))
