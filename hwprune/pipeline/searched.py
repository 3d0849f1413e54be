"""The search: every method, with the same allowance, for all budgets of a deployment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from hwprune.budget import Constraint
from hwprune.channels.base import BaseNetwork
from hwprune.errors import InputError
from hwprune.evaluation import Evaluation
from hwprune.file_name import file_name
from hwprune.form import Form, Joined
from hwprune.pipeline.earlier_scores import earlier_scores
from hwprune.pipeline.search_clock import ON_BOARD, SearchClock
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import JOINT, METHODS
from hwprune.search.problem import PolicySettings, SearchProblem

LEAST, BY_GROUP = 60, 4
"""Evaluations that are chosen: so many, and so many for each group; on synthetic problems of 10
and 20 groups the gap hardly falls after (bench_search)."""
MOST_S = 3600.0
"""That boards spend on a search whose evaluations are chosen, where LEAST takes no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What one method asked for."""

    method: str
    budget: str
    """That it searched for; empty: for all together."""
    evaluations: tuple[Evaluation, ...]
    history: tuple[dict[str, Any], ...]
    """Rows for curves, where a method has such."""
    ended: str
    """Why it ended before its allowance was used, in words."""
    seconds: float
    """Wall time."""

    def under(self, budget: str) -> list[Evaluation]:
        """Its evaluations as a budget sees them."""
        return [e if self.budget else e.under(budget) for e in self.evaluations]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What all methods asked for, for all budgets together."""

    allowance: int
    """Evaluations that each method was given."""
    clock: SearchClock
    searches: tuple[Search, ...]

    def under(self, budget: str) -> list[Search]:
        """The searches that a budget was part of."""
        return [search for search in self.searches if search.budget in ("", budget)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the run folder keeps of a search."""

    evaluations: tuple[Evaluation, ...]
    history: tuple[dict[str, Any], ...]
    ended: str


def search(bench: Workbench, progress: Progress) -> Searched:
    """Let every method search.

    Raises:
        InputError: a method that does not exist.
    """
    clock = SearchClock(bench)
    problem = problem_of(bench, progress)
    settings = bench.prepared.deployment.search
    unknown = [m for m in settings.searched if m not in METHODS]
    if unknown:
        raise InputError(
            f"there is no search method '{unknown[0]}'", possible=", ".join(sorted(METHODS))
        )
    searches = [
        _search(bench, problem.under(budget), method, budget, progress, clock)
        for method in settings.searched
        # Joint methods search once for all budgets, the others once for each.
        for budget in (("",) if method in JOINT else problem.budgets)
    ]
    return Searched(allowance=problem.evaluations, clock=clock, searches=tuple(searches))


def problem_of(bench: Workbench, progress: Progress) -> SearchProblem:
    """The search problem that every method gets."""
    prepared = bench.prepared
    settings = prepared.deployment.search
    model = prepared.base.cost_model
    bench.refer_to_unpruned()
    return SearchProblem(
        space=prepared.space,
        features=model.features(),
        layers=model.layers(),
        harm=prepared.ranking.harm(prepared.space.groups),
        budgets=tuple(bench.budgets),
        constraints=tuple(bench.limits),
        forms=_forms(prepared.base, bench.limits),
        known=bench.pricing.forms(bench.limits) if bench.pricing else {},
        scored=earlier_scores(bench, progress),
        evaluate=bench.evaluate,
        estimate=prepared.macs_left,
        evaluations=_allowance(bench),
        patient=settings.evaluations > 0,
        policy=PolicySettings(
            algorithm=settings.algorithm, runners=settings.runners, learners=settings.learners
        ),
        seed=settings.seed,
        base_quality=bench.quality(prepared.space.unpruned, bench.base_score),
        metric=prepared.task.metric,
        boards=bench.fleet.boards,
    )


def _forms(base: BaseNetwork, constraints: Mapping[str, Constraint]) -> dict[str, Form]:
    """The form of each constraint that the graph gives one for, by label."""
    forms: dict[str, Form | None] = {}
    for label, constraint in constraints.items():
        if constraint.quantity == "memory_mb":
            params = base.cost_model.form("params")
            forms[label] = Joined(forms=(base.peak, params)) if params else base.peak
        elif constraint.quantity in ("params", "macs"):
            forms[label] = base.cost_model.form(constraint.quantity)
    return {label: form for label, form in forms.items() if form is not None}


def _allowance(bench: Workbench) -> int:
    """Evaluations for each method: as asked, or chosen; the same when a run is resumed."""
    asked = bench.prepared.deployment.search.evaluations
    if asked:
        return asked
    kept = bench.folder.step("allowance", int)
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


def _search(
    bench: Workbench,
    problem: SearchProblem,
    method: str,
    budget: str,
    progress: Progress,
    clock: SearchClock,
) -> Search:
    """One method's search, or what it left when it was carried out before."""
    name = f"{method} for {budget}" if budget else method
    told: _Kept | None = bench.folder.step(f"search {name}", _Kept)
    if told is None:
        told = _run_method(bench, problem, method, name, progress, clock)
    return Search(
        method=method,
        budget=budget,
        evaluations=told.evaluations,
        history=told.history,
        ended=told.ended,
        seconds=clock.seconds.get(name, 0.0),
    )


def _run_method(
    bench: Workbench,
    problem: SearchProblem,
    method: str,
    name: str,
    progress: Progress,
    clock: SearchClock,
) -> _Kept:
    minutes = bench.prepared.deployment.search.minutes
    if minutes:
        # Minutes count over all the sessions of a run.
        left_s = 60 * minutes - clock.seconds.get(name, 0.0)
        problem = replace(problem, until_s=time.monotonic() + left_s)
    evaluator = Evaluator(
        problem, method, progress, bench.folder.folder(f"search/{file_name(name)}")
    )
    bench.scoring.start_race(tuple(bench.budgets))
    progress.begin(f"search: {name}", problem.evaluations)
    with clock.around(name, evaluator):
        METHODS[method](evaluator)
    found = evaluator.note
    progress.end(f"{found}; {evaluator.ended}" if evaluator.ended else found)
    kept = _Kept(
        evaluations=tuple(evaluator.evaluations),
        history=tuple(evaluator.history),
        ended=evaluator.ended,
    )
    bench.folder.finish(f"search {name}", asdict(kept))
    return kept
