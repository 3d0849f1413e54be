"""The contest: every method searches with the same allowance, and the best few are read afresh."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hwprune.budget import Constraint
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BudgetError, InputError
from hwprune.evaluation import Evaluation
from hwprune.form import Form
from hwprune.pipeline.certify import read_afresh
from hwprune.pipeline.search_clock import ON_BOARD, SearchClock
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune.search.problem import PolicyWish, SearchProblem
from hwprune_device.reading import Failure

LEAST, BY_GROUP = 60, 4
"""Evaluations that are chosen: so many, and so many for each group; on synthetic problems of 10
and 20 groups the gap hardly falls after (bench_search)."""
MOST_S = 3600.0
"""That boards spend on a search whose evaluations are chosen, where LEAST takes no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalist:
    """One of the best candidates, scored on more items and measured in fresh processes."""

    method: str
    """The method that found it first."""
    proposed_by: str
    """Who in the method proposed it."""
    candidate: Candidate
    heldout: float
    """Its score in the search."""
    final: float | None
    """Its score on the finalists' items, before fine-tuning; None where that failed."""
    passed: bool
    """Whether fresh readings show that it keeps the budget."""
    latency_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """What the methods found."""

    evaluations: tuple[Evaluation, ...]
    allowance: int
    """Evaluations that each method was given."""
    ended: Mapping[str, str]
    """By method that ended before it had used them: why."""
    policy_history: tuple[dict[str, Any], ...]
    clock: SearchClock
    finalists: tuple[Finalist, ...]
    winner: Finalist
    uniform: Finalist | None
    """The widest uniform cut that keeps the budget; None if none was found."""


def hold(bench: Workbench, progress: Progress) -> Contest:
    """Let every method search, then choose among the best by fresh readings.

    Raises:
        InputError: a method or saliency that does not exist.
        BudgetError: no candidate was measured to keep the budget.
    """
    clock = SearchClock(bench)
    problem = problem_of(bench)
    done = _search(bench, problem, progress, clock)
    evaluations = [Evaluation.from_json(e) for of in done.values() for e in of["evaluations"]]
    finalists = _finals(bench, evaluations, progress)
    able = [f for f in finalists if f.passed]
    if not able:
        _give_up(evaluations)
    winner = max(able, key=lambda f: bench.quality(f.final or 0.0))
    return Contest(
        evaluations=tuple(evaluations),
        allowance=problem.evaluations,
        ended={method: of["ended"] for method, of in done.items() if of["ended"]},
        policy_history=tuple(row for of in done.values() for row in of["history"]),
        clock=clock,
        finalists=tuple(finalists),
        winner=winner,
        uniform=_widest_uniform(bench, evaluations),
    )


def problem_of(bench: Workbench) -> SearchProblem:
    """The search problem that every method gets."""
    prepared = bench.prepared
    wish = prepared.deployment.search
    model = prepared.base.cost_model
    constraints = bench.budget.constraints
    whole = model.macs(prepared.space.unpruned.widths)
    bench.refer_to_unpruned()
    return SearchProblem(
        space=prepared.space,
        features=model.features(),
        layers=model.layers(),
        harm=prepared.ranking.harm(prepared.space.groups),
        constraints=tuple(c.label for c in constraints),
        forms=_forms(prepared.base, constraints),
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


def _forms(base: BaseNetwork, constraints: Sequence[Constraint]) -> dict[str, Form]:
    """What the graph tells of each constraint, where it tells something."""
    forms: dict[str, Form | None] = {}
    for constraint in constraints:
        if constraint.quantity == "memory_mb":
            forms[constraint.label] = base.peak
        elif constraint.quantity in ("params", "macs"):
            forms[constraint.label] = base.cost_model.form(constraint.quantity)
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


def _search(
    bench: Workbench, problem: SearchProblem, progress: Progress, clock: SearchClock
) -> dict[str, dict[str, Any]]:
    """By method, what came of its search."""
    methods = bench.prepared.deployment.search.searched
    unknown = [m for m in methods if m not in METHODS]
    if unknown:
        raise InputError(
            f"there is no search method '{unknown[0]}'", possible=", ".join(sorted(METHODS))
        )
    return {
        method: bench.folder.step(f"search {method}")
        or _run_method(bench, problem, method, progress, clock)
        for method in methods
    }


def _run_method(
    bench: Workbench,
    problem: SearchProblem,
    method: str,
    progress: Progress,
    clock: SearchClock,
) -> dict[str, Any]:
    minutes = bench.prepared.deployment.search.minutes
    if minutes:
        left_s = 60 * minutes - clock.seconds.get(method, 0.0)
        problem = replace(problem, until_s=time.monotonic() + left_s)
    evaluator = Evaluator(problem, method, progress, bench.folder.folder(f"search/{method}"))
    bench.scoring.start_race()
    progress.begin(f"search: {method}", problem.evaluations)
    with clock.around(method, evaluator):
        METHODS[method](evaluator)
    best = evaluator.best
    text = problem.metric.text
    found = "nothing feasible" if best is None else f"best {text(best.score)}"
    progress.end(f"{found}; {evaluator.ended}" if evaluator.ended else found)
    return dict(
        bench.folder.finish(
            f"search {method}",
            {
                "evaluations": [e.to_json() for e in evaluator.evaluations],
                "history": evaluator.history,
                "ended": evaluator.ended,
            },
        )
    )


def _finals(bench: Workbench, evaluations: list[Evaluation], progress: Progress) -> list[Finalist]:
    """Score and measure the best few of each method again; the search's own numbers are lucky.

    A candidate at the very edge of the budget may not be shown to keep it, so each method's list
    is gone down until enough of its candidates are, or three times as many were tried.
    """
    wish = bench.prepared.deployment.search
    progress.begin("read the finalists afresh", len(wish.searched) * wish.finalists)
    known: dict[Candidate, Finalist] = {}
    for method in wish.searched:
        feasible = [e for e in evaluations if e.method == method and e.feasible and e.share == 1.0]
        ranked = sorted(feasible, key=lambda e: (-(e.quality or 0.0), e.number))
        passed = 0
        for evaluation in ranked[: 3 * wish.finalists]:
            if passed == wish.finalists:
                break
            if evaluation.candidate not in known:
                known[evaluation.candidate] = _finalist(bench, evaluation)
            passed += known[evaluation.candidate].passed
        progress.advance(wish.finalists, f"{method}: {passed} keep the budget")
    progress.end(f"{sum(f.passed for f in known.values())} of {len(known)} keep the budget")
    return list(known.values())


def _widest_uniform(bench: Workbench, evaluations: list[Evaluation]) -> Finalist | None:
    """The uniform cut nearest to the budget: what a user would do without a search."""
    cuts = [e for e in evaluations if e.method == "uniform" and e.feasible]
    for evaluation in sorted(cuts, key=lambda e: -e.worst_excess)[:5]:
        finalist = _finalist(bench, evaluation)
        if finalist.passed:
            return finalist
    return None


def _finalist(bench: Workbench, evaluation: Evaluation) -> Finalist:
    candidate = evaluation.candidate
    scoring = bench.scoring.whole(candidate, "final")
    certificate = read_afresh(bench, "finalist", candidate).certificate
    score = scoring.result()
    return Finalist(
        method=evaluation.method,
        proposed_by=evaluation.proposed_by,
        candidate=candidate,
        heldout=evaluation.score or 0.0,
        final=None if isinstance(score, Failure) else score.value,
        passed=certificate.passed and not isinstance(score, Failure),
        latency_ms=next(
            (f.value for f in certificate.findings if f.constraint.quantity == "latency_ms"), None
        ),
    )


def _give_up(evaluations: list[Evaluation]) -> None:
    measured = [e for e in evaluations if e.failure is None]
    nearest = min(measured, key=lambda e: e.worst_excess, default=None)
    if nearest is None:
        given = "all of them failed to run"
    elif nearest.worst_excess > 0:
        given = f"the nearest is {nearest.worst_excess:.1%} over its limit"
    else:
        given = "some kept it in the search, but fresh readings of the best did not show it"
    raise BudgetError(
        f"none of {len(evaluations)} candidates was shown to keep the budget",
        given=given,
        possible="a quieter board, more search.evaluations, a smaller search.min_keep, or a "
        "higher limit",
        next_step="hwprune doctor tells how quiet the board is; start anew with --out",
    )
