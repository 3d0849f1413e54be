"""The search methods by name. Each gets the same problem, evaluator and allowance."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from hwprune.progress import Progress
from hwprune.search import greedy, policy_search, random_search, sensitivity, uniform
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem


class Method(Protocol):
    """Searches until its allowance is used up; the evaluator keeps what it found."""

    def __call__(
        self,
        problem: SearchProblem,
        evaluator: Evaluator,
        *,
        progress: Progress,
        checkpoint: Path | None = None,
    ) -> list[dict[str, Any]] | None:
        """Search; the history of the method's own state, if it has one."""


METHODS: dict[str, Method] = {
    "sensitivity": sensitivity.search,
    "policy": policy_search.search,
    "greedy": greedy.search,
    "random": random_search.search,
    "uniform": uniform.search,
}
"""In the order in which they run by default."""
