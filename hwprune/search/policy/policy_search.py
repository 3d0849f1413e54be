"""Methods "policy" and "policy+model": constrained RL, alone or beside the model.

1. The smallest network and a spread over the space are evaluated, as for the model alone.
2. A batch of candidates is played by the policy, which learns from what was measured of them and
   from nothing else. In "policy+model" the model proposes a batch of its own meanwhile; both find
   their candidates in the same search, and each candidate carries who proposed it.

The best candidate that was measured within the budget is delivered, never the policy's favourite.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from hwprune.candidate import Candidate
from hwprune.errors import InputError, RunFolderError
from hwprune.evaluation import Evaluation
from hwprune.search.evaluator import Evaluator
from hwprune.search.model_search import BATCH, STALE, first_candidates, start_batch
from hwprune.search.policy.policy import Policy, quiet
from hwprune.search.problem import SearchProblem
from hwprune.search.proposer import Proposer
from hwprune.stored import as_noun, said
from hwprune.whole_file import replacing

FILE = "policy.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What is kept beside the weights."""

    asked: list[list[int]]
    proposed_by: list[str]
    history: list[dict[str, Any]]
    multipliers: dict[str, dict[str, list[float | None]]]


def search(evaluator: Evaluator) -> None:
    """Search until the allowance or the space is exhausted; called again it goes on.

    Raises:
        RunFolderError: what a search before kept cannot be read.
        InputError: the algorithm is not known.
    """
    problem = evaluator.problem
    _refuse_unlike(problem)
    kept = _load(evaluator.folder)
    # Boards measure these while RLlib starts.
    first = evaluator.start(first_candidates(problem), by="start")
    proposers = {budget: Proposer(problem.under(budget)) for budget in problem.budgets}
    with quiet(), Policy(evaluator, problem.at_once(BATCH)) as policy:
        evaluator.resolve(first)
        if kept is not None:
            _go_on(evaluator, policy, kept)
        policy.replay(evaluator.evaluations)
        stale = 0
        for budget in itertools.cycle(problem.budgets):
            if evaluator.left == 0 or stale == STALE * len(proposers):
                break
            before = evaluator.left
            proposers[budget].learn(evaluator.under(budget))
            policy.believe(budget, proposers[budget].model)
            of_model = []
            if evaluator.method == "policy+model":
                of_model = start_batch(evaluator, proposers[budget])
            played = policy.play()
            policy.replay(evaluator.resolve(of_model))
            stale = stale + 1 if evaluator.left == before else 0
            evaluator.history.append(_row(evaluator, policy, played))
            _save(evaluator, policy)
            evaluator.end_if_idle()


def _refuse_unlike(problem: SearchProblem) -> None:
    unlike = {problem.under(budget).constraints for budget in problem.budgets}
    if len(unlike) > 1:
        raise InputError(
            "a policy for several budgets needs the same quantities limited in each",
            given="; ".join(", ".join(labels) for labels in sorted(unlike)),
            possible='search.methods = ["model", "uniform"], or limits on the same quantities',
        )


def _row(evaluator: Evaluator, policy: Policy, played: Sequence[Evaluation]) -> dict[str, Any]:
    """What the report's curves show of a batch."""
    good = [e for e in played if e.failure is None]
    labels = evaluator.problem.under(policy.budget).constraints
    excess = {label: float(np.mean([e.excess[label] for e in good])) for label in labels if good}
    best = evaluator.best_under(policy.budget)
    return {
        "evaluations": len(evaluator.evaluations),
        "quality_mean": float(np.mean([e.quality or 0.0 for e in good])) if good else 0.0,
        "excess_mean": excess or dict.fromkeys(labels, 0.0),
        "multipliers": dict(zip(labels, policy.multipliers.tolist(), strict=True)),
        "budget": policy.budget,
        "best_quality": None if best is None else best.quality,
    }


def _save(evaluator: Evaluator, policy: Policy) -> None:
    """What a killed search goes on from: weights as safetensors, the rest as JSON in it."""
    if evaluator.folder is None:
        return
    state = policy.state()
    told = {
        "asked": evaluator.asked_widths,
        "proposed_by": [e.proposed_by for e in evaluator.evaluations],
        "history": evaluator.history,
        "multipliers": state["multipliers"],
    }
    arrays = {"/".join(path): array for path, array in _leaves(state["weights"])}
    with replacing(evaluator.folder / FILE) as part:
        save_file(arrays, part, metadata={"hwprune": json.dumps(told)})


def _load(folder: Path | None) -> dict[str, Any] | None:
    if folder is None or not (folder / FILE).exists():
        return None
    try:
        with safe_open(folder / FILE, framework="numpy") as opened:
            told = as_noun(_Told, json.loads(opened.metadata()["hwprune"]))
            weights: dict[str, Any] = {}
            for name in opened.keys():  # noqa: SIM118, it is no dict
                *inner, last = name.split("/")
                branch = weights
                for key in inner:
                    branch = branch.setdefault(key, {})
                branch[last] = opened.get_tensor(name)
        return asdict(told) | {"weights": weights}
    except Exception as error:  # safetensors has errors of its own, and files break in many ways
        raise RunFolderError(
            "what a policy learned so far cannot be read",
            given=f"{folder / FILE}: {said(error)}",
            next_step="delete the file; evaluations are kept elsewhere, only the policy restarts",
        ) from error


def _go_on(evaluator: Evaluator, policy: Policy, kept: dict[str, Any]) -> None:
    """Ask again for what was asked, answered from memory, and take up what was learned."""
    both = zip(kept["asked"], kept["proposed_by"], strict=False)
    for widths, by in both:
        evaluator.ask([Candidate(widths=tuple(widths))], by=by)
    evaluator.history.extend(kept["history"])
    policy.load_state(kept)


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], np.ndarray]]:
    if isinstance(tree, dict):
        return [leaf for key, inner in tree.items() for leaf in _leaves(inner, (*path, str(key)))]
    # safetensors writes memory as it lies: of a transposed array it would keep other numbers.
    return [(path, np.array(tree, copy=True, order="C"))]
