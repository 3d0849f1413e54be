"""The registry of search methods, in the order they run by default.

A new method is one file with a `search` of this shape and one line here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from hwprune.progress import Progress
from hwprune.search import greedy, model_search, random_search, sensitivity, uniform
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem


class Method(Protocol):
    """A search; the evaluator keeps what it finds."""

    def __call__(
        self,
        problem: SearchProblem,
        evaluator: Evaluator,
        *,
        progress: Progress,
        checkpoint: Path | None = None,
    ) -> list[dict[str, Any]]:
        """Search until the allowance is used; rows for curves, empty where there are none."""


def _policy(
    problem: SearchProblem,
    evaluator: Evaluator,
    *,
    progress: Progress,
    checkpoint: Path | None = None,
) -> list[dict[str, Any]]:
    """RLlib takes seconds to import, so only the search that needs it does."""
    from hwprune.search import policy_search

    return policy_search.search(problem, evaluator, progress=progress, checkpoint=checkpoint)


METHODS: dict[str, Method] = {
    sensitivity.METHOD: sensitivity.search,
    "policy": _policy,
    model_search.METHOD: model_search.search,
    greedy.METHOD: greedy.search,
    random_search.METHOD: random_search.search,
    uniform.METHOD: uniform.search,
}
