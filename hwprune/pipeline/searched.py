"""The search: every method, with the same allowance, for all budgets of a deployment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hwprune.budget import Constraint
from hwprune.channels.base import BaseNetwork
from hwprune.errors import InputError
from hwprune.evaluation import Evaluation
from hwprune.form import Form
from hwprune.pipeline.search_clock import ON_BOARD, SearchClock
from hwprune.pipeline.workbench import Workbench, search_label
from hwprune.progress import Progress
from hwprune.run_folder import folder_name
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import JOINT, METHODS
from hwprune.search.problem import PolicyWish, SearchProblem

LEAST, BY_GROUP = 60, 4
"""Evaluations that are chosen: so many, and so many for each group; on synthetic problems of 10
and 20 groups the gap hardly falls after (bench_search)."""
MOST_S = 3600.0
"""That boards spend on a search whose evaluations are chosen, where LEAST takes no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What all methods asked for, for all budgets together."""

    allowance: int
    """Evaluations that each method was given."""
    clock: SearchClock
    found: Mapping[str, Mapping[str, Any]]
    """By method, and budget where it searched for each by itself: evaluations as plain data, rows
    for curves, and why it ended early."""

    def under(self, budget: str) -> dict[str, list[Evaluation]]:
        """By method, its evaluations as a budget sees them."""
        return {
            method: [Evaluation.from_json(e).under(budget) for e in of["evaluations"]]
            for method, of in self.told(budget).items()
        }

    def seconds(self, budget: str) -> dict[str, float]:
        """By method, wall time."""
        spent, front = self.clock.seconds, f" for {budget}"
        return {m: spent.get(m + front, spent.get(m, 0.0)) for m in self.told(budget)}

    def told(self, budget: str) -> dict[str, Mapping[str, Any]]:
        """By method, what it found for a budget."""
        front = f" for {budget}"
        return {
            name.removesuffix(front): of
            for name, of in self.found.items()
            if name in JOINT or not budget or name.endswith(front)
        }


def search(bench: Workbench, progress: Progress) -> Searched:
    """Let every method search.

    Raises:
        InputError: a method that does not exist.
    """
    clock = SearchClock(bench)
    problem = problem_of(bench)
    wish = bench.prepared.deployment.search
    unknown = [m for m in wish.searched if m not in METHODS]
    if unknown:
        raise InputError(
            f"there is no search method '{unknown[0]}'", possible=", ".join(sorted(METHODS))
        )
    found: dict[str, dict[str, Any]] = {}
    for method in wish.searched:
        for budget in ("",) if method in JOINT else problem.budgets:
            name = f"{method} for {budget}" if budget else method
            found[name] = bench.folder.step(f"search {name}") or _run_method(
                bench, problem.under(budget), method, name, progress, clock
            )
    return Searched(allowance=problem.evaluations, clock=clock, found=found)


def problem_of(bench: Workbench) -> SearchProblem:
    """The search problem that every method gets."""
    prepared = bench.prepared
    wish = prepared.deployment.search
    model = prepared.base.cost_model
    limits = [(b, c) for b in bench.budgets.values() for c in b.constraints]
    whole = model.macs(prepared.space.unpruned.widths)
    bench.refer_to_unpruned()
    return SearchProblem(
        space=prepared.space,
        features=model.features(),
        layers=model.layers(),
        harm=prepared.ranking.harm(prepared.space.groups),
        budgets=tuple(bench.budgets),
        constraints=tuple(search_label(b, c) for b, c in limits),
        forms=_forms(prepared.base, {search_label(b, c): c for b, c in limits}),
        evaluate=bench.evaluate,
        estimate=lambda widths: model.macs(widths) / whole,
        evaluations=_allowance(bench),
        patient=wish.evaluations > 0,
        policy=PolicyWish(algorithm=wish.algorithm, runners=wish.runners, learners=wish.learners),
        seed=wish.seed,
        base_quality=bench.quality(bench.base_score),
        metric=prepared.task.metric,
        boards=bench.fleet.boards,
    )


def _forms(base: BaseNetwork, constraints: Mapping[str, Constraint]) -> dict[str, Form]:
    """What the graph tells of each constraint, where it tells something; by label."""
    forms: dict[str, Form | None] = {}
    for label, constraint in constraints.items():
        if constraint.quantity == "memory_mb":
            forms[label] = base.peak
        elif constraint.quantity in ("params", "macs"):
            forms[label] = base.cost_model.form(constraint.quantity)
    return {label: form for label, form in forms.items() if form is not None}


def _allowance(bench: Workbench) -> int:
    """Evaluations for each method: as asked, or chosen; the same when a run is resumed."""
    asked = bench.prepared.deployment.search.evaluations
    if asked:
        return asked
    kept = bench.folder.step("allowance")
    if kept is None:
        groups = sum(len(g.choices) > 1 for g in bench.prepared.space.groups)
        spent = bench.spent()
        # The unpruned and the smallest network were measured and scored by now.
        each_s = sum(seconds for stage, seconds in spent.items() if stage in ON_BOARD) / 2
        kept = bench.folder.finish("allowance", allowance(groups, each_s / bench.fleet.boards))
    return int(kept)


def allowance(groups: int, candidate_s: float) -> int:
    """Evaluations that pay: more for more groups, and what boards do in MOST_S at most."""
    wanted = LEAST + BY_GROUP * groups
    return min(wanted, max(LEAST, int(MOST_S / max(candidate_s, 1e-3))))


def _run_method(
    bench: Workbench,
    problem: SearchProblem,
    method: str,
    name: str,
    progress: Progress,
    clock: SearchClock,
) -> dict[str, Any]:
    minutes = bench.prepared.deployment.search.minutes
    if minutes:
        left_s = 60 * minutes - clock.seconds.get(name, 0.0)
        problem = replace(problem, until_s=time.monotonic() + left_s)
    evaluator = Evaluator(
        problem, method, progress, bench.folder.folder(f"search/{folder_name(name)}")
    )
    bench.scoring.start_race(tuple(bench.budgets))
    progress.begin(f"search: {name}", problem.evaluations)
    with clock.around(name, evaluator):
        METHODS[method](evaluator)
    found = evaluator.note
    progress.end(f"{found}; {evaluator.ended}" if evaluator.ended else found)
    return dict(
        bench.folder.finish(
            f"search {name}",
            {
                "evaluations": [e.to_json() for e in evaluator.evaluations],
                "history": evaluator.history,
                "ended": evaluator.ended,
            },
        )
    )
