"""The contest: every method searches with the same allowance, and the best few are read afresh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwprune.budget import Constraint
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BudgetError, InputError
from hwprune.evaluation import Evaluation
from hwprune.form import Form
from hwprune.pipeline.certify import read_afresh
from hwprune.pipeline.search_clock import SearchClock
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune.search.problem import SearchProblem
from hwprune_device.reading import Failure


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
    evaluations, history = _search(bench, progress, clock)
    finalists = _finals(bench, evaluations, progress)
    able = [f for f in finalists if f.passed]
    if not able:
        _give_up(evaluations)
    winner = max(able, key=lambda f: bench.quality(f.final or 0.0))
    return Contest(
        evaluations=tuple(evaluations),
        policy_history=tuple(history),
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
        evaluations=wish.evaluations,
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


def _search(
    bench: Workbench, progress: Progress, clock: SearchClock
) -> tuple[list[Evaluation], list[dict[str, Any]]]:
    wish = bench.prepared.deployment.search
    unknown = [m for m in wish.methods if m not in METHODS]
    if unknown:
        raise InputError(
            f"there is no search method '{unknown[0]}'", possible=", ".join(sorted(METHODS))
        )
    problem = problem_of(bench)
    evaluations: list[Evaluation] = []
    history: list[dict[str, Any]] = []
    for method in wish.methods:
        done = bench.folder.step(f"search {method}")
        if done is None:
            done = _run_method(bench, problem, method, progress, clock)
        evaluations += [Evaluation.from_json(e) for e in done["evaluations"]]
        history = done["history"] or history
    return evaluations, history


def _run_method(
    bench: Workbench,
    problem: SearchProblem,
    method: str,
    progress: Progress,
    clock: SearchClock,
) -> dict[str, Any]:
    folder = bench.folder.folder("search") / method
    evaluator = Evaluator(problem, method, progress, folder)
    bench.scoring.start_race()
    progress.begin(f"search: {method}", problem.evaluations)
    with clock.around(method, evaluator):
        METHODS[method](evaluator)
    best = evaluator.best
    text = problem.metric.text
    progress.end("nothing feasible" if best is None else f"best {text(best.score)}")
    return dict(
        bench.folder.finish(
            f"search {method}",
            {
                "evaluations": [e.to_json() for e in evaluator.evaluations],
                "history": evaluator.history,
            },
        )
    )


def _finals(bench: Workbench, evaluations: list[Evaluation], progress: Progress) -> list[Finalist]:
    """Score and measure the best few of each method again; the search's own numbers are lucky.

    A candidate at the very edge of the budget may not be shown to keep it, so each method's list
    is gone down until enough of its candidates are, or three times as many were tried.
    """
    wish = bench.prepared.deployment.search
    progress.begin("read the finalists afresh", len(wish.methods) * wish.finalists)
    known: dict[Candidate, Finalist] = {}
    for method in wish.methods:
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
