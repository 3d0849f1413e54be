"""The registry of search methods.

A new method is one file with a `search` of this shape and one line here.
"""

from __future__ import annotations

from collections.abc import Callable

from hwprune.search import model_search, random_search, sensitivity, uniform
from hwprune.search.evaluator import Evaluator

Method = Callable[[Evaluator], None]
"""A search: asks the evaluator until its allowance is used; the evaluator keeps what it finds."""


def _policy(evaluator: Evaluator) -> None:
    # RLlib takes seconds to import, so only the search that needs it does.
    from hwprune.search.policy.policy_search import search

    search(evaluator)


def _cg(evaluator: Evaluator) -> None:
    # Agents in torch, which the methods without one do not wait for.
    from hwprune.search.papers.cg import search

    search(evaluator)


def _sensitive_ddpg(evaluator: Evaluator) -> None:
    from hwprune.search.papers.sensitive_ddpg import search

    search(evaluator)


JOINT = frozenset({"model", "policy", "policy+model"})
"""Methods that serve several budgets in one search; others search for each by itself."""
LEARNED = frozenset({"policy", "policy+model"})
"""Methods that learn by RLlib."""
METHODS: dict[str, Method] = {
    "model": model_search.search,
    "policy": _policy,
    "policy+model": _policy,
    "sensitivity": sensitivity.search,
    "random": random_search.search,
    "uniform": uniform.search,
    "cg": _cg,
    "sensitive+ddpg": _sensitive_ddpg,
}
