"""The contest: for one budget, the best few that the methods found are read afresh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from hwprune.candidate import Candidate
from hwprune.errors import BudgetError
from hwprune.evaluation import Evaluation
from hwprune.pipeline.certify import read_afresh
from hwprune.pipeline.search_clock import SearchClock
from hwprune.pipeline.searched import Searched
from hwprune.pipeline.short_tuning import tuned_scores
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Progress
from hwprune.report.rows import UNIFORM
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
    tuned: float | None = None
    """The same after a short fine-tuning, where there was one."""
    passed: bool
    """Whether fresh readings show that it keeps the budget."""
    latency_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """What the methods found for one budget."""

    allowance: int
    evaluations: tuple[Evaluation, ...]
    ended: Mapping[str, str]
    """By method that ended before it had used its evaluations: why."""
    policy_history: tuple[dict[str, Any], ...]
    clock: SearchClock
    seconds: Mapping[str, float]
    """By method, wall time."""
    finalists: tuple[Finalist, ...]
    winner: Finalist
    uniform: Finalist | None
    """The widest uniform cut that keeps the budget; None if none was found."""


def hold(bench: Workbench, searched: Searched, progress: Progress) -> Contest:
    """Choose among the best for the bench's budget by fresh readings.

    Raises:
        BudgetError: no candidate was measured to keep the budget.
    """
    budget = bench.budget.name
    searches = searched.under(budget)
    evaluations = [e for search in searches for e in search.under(budget)]
    finalists = _finals(bench, evaluations, progress)
    able = [f for f in finalists if f.passed]
    if not able:
        _give_up(evaluations)
    tuned = tuned_scores(bench, [f.candidate for f in able], progress)
    finalists = [replace(f, tuned=tuned.get(f.candidate)) for f in finalists]
    winner = max((f for f in finalists if f.passed), key=lambda f: _promise(bench, f))
    return Contest(
        allowance=searched.allowance,
        evaluations=tuple(evaluations),
        ended={search.method: search.ended for search in searches if search.ended},
        policy_history=tuple(
            row for search in searches for row in search.history if row["budget"] == budget
        ),
        clock=searched.clock,
        seconds={search.method: search.seconds for search in searches},
        finalists=tuple(finalists),
        winner=winner,
        uniform=_widest_uniform(bench, evaluations),
    )


def _promise(bench: Workbench, finalist: Finalist) -> float:
    """A finalist's promise of being the best once it is fine-tuned; higher is better.

    Scores before and after a few steps err in different ways: their mean ranks better than either
    does (tests/benchmarks/bench_reward.py).
    """
    scores = [score for score in (finalist.final, finalist.tuned) if score is not None]
    return fmean(bench.quality(finalist.candidate, score) for score in scores)


def _finals(bench: Workbench, evaluations: list[Evaluation], progress: Progress) -> list[Finalist]:
    """Score and measure the best few of each method again; the search's own numbers are lucky.

    A candidate at the very edge of the budget may not be shown to keep it, so each method's list
    is gone down until enough of its candidates are, or three times as many were tried.
    """
    settings = bench.prepared.deployment.search
    counts = {m: 1 if m == UNIFORM else settings.finalists for m in settings.searched}
    progress.begin("read the finalists afresh", sum(counts.values()))
    known: dict[Candidate, Finalist] = {}
    for method, count in counts.items():
        feasible = [e for e in evaluations if e.method == method and e.feasible and e.share == 1.0]
        ranked = sorted(feasible, key=lambda e: (-(e.quality or 0.0), e.number))
        passed = 0
        for evaluation in ranked[: 3 * count]:
            if passed == count:
                break
            if evaluation.candidate not in known:
                known[evaluation.candidate] = _finalist(bench, evaluation)
            passed += known[evaluation.candidate].passed
        progress.advance(count, f"{method}: {passed} keep the budget")
    progress.end(f"{sum(f.passed for f in known.values())} of {len(known)} keep the budget")
    return list(known.values())


def _widest_uniform(bench: Workbench, evaluations: list[Evaluation]) -> Finalist | None:
    """The uniform cut nearest to the budget: what a user would do without a search."""
    cuts = [e for e in evaluations if e.method == UNIFORM and e.feasible]
    # Five at most, as each is read afresh several times.
    for evaluation in sorted(cuts, key=lambda e: -e.worst_excess)[:5]:
        finalist = _finalist(bench, evaluation)
        if finalist.passed:
            return finalist
    return None


def _finalist(bench: Workbench, evaluation: Evaluation) -> Finalist:
    candidate = evaluation.candidate
    # Begun first: it runs on cores of its own while the boards read.
    scoring = bench.scoring.whole(candidate, "final")
    certificate = read_afresh(bench, "finalist", candidate).certificate
    score = scoring.result()
    return Finalist(
        method=evaluation.method,
        proposed_by=evaluation.proposed_by,
        candidate=candidate,
        heldout=evaluation.score or 0.0,
        final=None if isinstance(score, Failure) else score.value,
        # Of a table in a board's place nothing is shown, so what it believes has to do.
        passed=certificate.believed and not isinstance(score, Failure),
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
