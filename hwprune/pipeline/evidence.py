"""The evidence: test scores, fresh readings, milliseconds by group, times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hwprune.candidate import Candidate
from hwprune.evaluation import best_of
from hwprune.floor import FloorFinding, judge, parse_floor
from hwprune.pipeline.agreement import with_scores
from hwprune.pipeline.certify import ReadAfresh, read_afresh
from hwprune.pipeline.contest import Contest
from hwprune.pipeline.delivery import Delivered
from hwprune.pipeline.engines import engine_doubts
from hwprune.pipeline.predictions import predictions_of
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Progress
from hwprune.report.agreement import Agreement
from hwprune.report.certificate import Certificate
from hwprune.report.result import DeploymentSummary, FinalReading, Result, Timings
from hwprune.report.rows import (
    HWPRUNE,
    UNIFORM,
    UNPRUNED,
    GroupRow,
    MethodRow,
    NetworkRow,
    PolicyStep,
)
from hwprune_device.reading import Failure, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was read and scored of the networks of the closing table."""

    certificate: Certificate
    """Of the delivered one."""
    rows: tuple[NetworkRow, ...]
    readings: Mapping[str, ReadAfresh]
    """By row."""
    groups: tuple[GroupRow, ...]
    agreement: Agreement
    floor: FloorFinding | None


def gather(
    bench: Workbench, contest: Contest, delivered: Delivered, progress: Progress
) -> Evidence:
    """Read every network of the closing table afresh, and score it on the test part.

    The test part is looked at here and nowhere else.
    """
    # In the order of the closing table's rows.
    candidates: dict[str, Candidate] = {UNPRUNED: bench.prepared.space.unpruned}
    if contest.uniform is not None:
        candidates[UNIFORM] = contest.uniform.candidate
    candidates[HWPRUNE] = contest.winner.candidate
    progress.begin("certify", len(candidates))
    rows, readings = [], {}
    for name, candidate in candidates.items():
        readings[name] = read_afresh(bench, "certificate", candidate)
        rows.append(_row(bench, delivered, name, candidate, readings[name]))
        progress.advance(note=name)
    agreement = with_scores(bench, delivered.models[HWPRUNE], delivered.forms, delivered.agreement)
    certificate = readings[HWPRUNE].certificate
    progress.end(certificate.status)
    return Evidence(
        certificate=certificate,
        rows=tuple(rows),
        readings=readings,
        groups=_groups(bench, contest.winner.candidate),
        agreement=agreement,
        floor=_floor(bench, {row.name: row for row in rows}),
    )


def _floor(bench: Workbench, rows: Mapping[str, NetworkRow]) -> FloorFinding | None:
    floor = parse_floor(bench.prepared.deployment.task.at_least)
    unpruned, delivered = rows[UNPRUNED].score_test, rows[HWPRUNE].score_test
    if floor is None or unpruned is None or delivered is None:
        return None
    return judge(floor, bench.prepared.task.metric, unpruned=unpruned, delivered=delivered)


def result_of(
    bench: Workbench,
    contest: Contest,
    delivered: Delivered,
    evidence: Evidence,
    *,
    commands: tuple[str, ...],
    started_at: str,
    step_s: Mapping[str, float],
) -> Result:
    """The result of a run."""
    certificate = replace(evidence.certificate, commands=commands, versions=versions())
    metric = bench.prepared.task.metric
    return Result(
        deployment=_summary(bench, contest),
        metric=metric,
        certificate=certificate,
        rows=evidence.rows,
        methods=_methods(contest),
        delivered_method=contest.winner.method,
        delivered_by=contest.winner.proposed_by,
        groups=evidence.groups,
        evaluations=contest.evaluations,
        policy=tuple(_policy_step(n, row) for n, row in enumerate(contest.policy_history, 1)),
        finetune=delivered.curves,
        final_readings=_final_readings(evidence),
        timings=_timings(contest, step_s),
        floor=evidence.floor,
        agreement=evidence.agreement,
        engines=delivered.engines,
        predictions=predictions_of(bench, contest, evidence.readings[HWPRUNE].readings),
        conditions=certificate.conditions,
        doubts=(
            *(f"guessed: {words}" for words in bench.prepared.guessed),
            *delivered.doubts,
            *certificate.doubts,
            *evidence.agreement.doubts(metric),
            *engine_doubts(delivered.engines, evidence.readings[HWPRUNE].readings),
            *_poisoned(bench),
        ),
        commands=commands,
        started_at=started_at,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _final_readings(evidence: Evidence) -> tuple[FinalReading, ...]:
    return tuple(
        FinalReading(network=name, reading=reading)
        for name, afresh in evidence.readings.items()
        for found in afresh.readings.values()
        for reading in found
    )


def _timings(contest: Contest, step_s: Mapping[str, float]) -> Timings:
    return Timings(
        step_s=dict(step_s),
        candidate_s=contest.clock.candidate_s(),
        board_busy_share=contest.clock.board_busy_share(),
    )


def _poisoned(bench: Workbench) -> tuple[str, ...]:
    """Networks that were given up because they took boards down, in words."""
    return tuple(
        f"{len(found)} networks took boards of kind {kind} down and were not sent again: "
        + ", ".join(architecture[:12] for architecture in found)
        for kind, found in bench.fleet.poisoned.items()
        if found
    )


def _row(
    bench: Workbench,
    delivered: Delivered,
    name: str,
    candidate: Candidate,
    afresh: ReadAfresh,
) -> NetworkRow:
    model = bench.prepared.base.cost_model
    # Of several kinds of board the table shows the first one's time and memory.
    findings = afresh.certificate.findings
    timed = next((f for f in findings if f.constraint.quantity == "latency_ms"), None)
    first = next(iter(afresh.readings[bench.prepared.kinds[0]]), None)
    heldout = bench.score(candidate, "final")
    # A network that two names share was fine-tuned once.
    shared = delivered.models.get(name, delivered.models[HWPRUNE])
    test = test_score(bench, name, bench.prepared.base.onnx if name == UNPRUNED else shared)
    return NetworkRow(
        name=name,
        score_test=test.value,
        others_test=test.others,
        score_heldout_before_finetune=None if isinstance(heldout, Failure) else heldout.value,
        # A budget that limits no latency has no finding of it.
        latency_ms=timed.value if timed else (first.latency_ms if first else None),
        low_ms=timed.low if timed else (first.low_ms if first else None),
        high_ms=timed.high if timed else (first.high_ms if first else None),
        memory_mb=first.memory.peak_mb if first else None,
        params=model.params(candidate.widths),
        macs=model.macs(candidate.widths),
        passed=None if name == UNPRUNED else afresh.certificate.passed,
        widths=candidate.widths,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _TestScore:
    """What is kept of a score on the test part."""

    value: float
    others: Mapping[str, float]


def test_score(bench: Workbench, name: str, onnx: bytes) -> _TestScore:
    """The score on the test part; computed once in a run."""
    from hwprune.network.execution import EXACT
    from hwprune.network.graph_module import to_module
    from hwprune.task.scoring import score_of

    step = f"test score {name}"
    known: _TestScore | None = bench.folder.step(step, _TestScore)
    if known is None:
        run = EXACT.run(EXACT.place(to_module(onnx)))
        found = score_of(bench.prepared.task, run, "test")
        known = _TestScore(value=found.value, others=dict(found.others))
        bench.folder.finish(step, asdict(known))
    return known


def _summary(bench: Workbench, contest: Contest) -> DeploymentSummary:
    deployment = bench.prepared.deployment
    return DeploymentSummary(
        name=deployment.name,
        network=deployment.network.source,
        task=bench.prepared.task.name,
        board=", ".join(bench.prepared.kinds),
        budget=bench.asked.text,
        methods=deployment.search.searched,
        evaluations=contest.allowance,
        seed=deployment.search.seed,
    )


def _methods(contest: Contest) -> tuple[MethodRow, ...]:
    rows = []
    for method in dict.fromkeys(e.method for e in contest.evaluations):
        found = [e for e in contest.evaluations if e.method == method]
        feasible = [e for e in found if e.feasible]
        best = best_of(found)
        rows.append(
            MethodRow(
                name=method,
                evaluations=len(found),
                feasible=len(feasible),
                failed=sum(e.failure is not None for e in found),
                best_score=best.score if best else None,
                best_at=best.number if best else None,
                best_by=best.proposed_by if best else "",
                seconds=contest.seconds.get(method),
                ended=contest.ended.get(method, ""),
            )
        )
    return tuple(rows)


def _groups(bench: Workbench, winner: Candidate) -> tuple[GroupRow, ...]:
    """What each group's cut saves: the unpruned network with this group alone at its new width."""
    whole = bench.prepared.space.unpruned.widths
    alone = {
        i: Candidate(widths=(*whole[:i], width, *whole[i + 1 :]))
        for i, width in enumerate(winner.widths)
        if width < whole[i]
    }
    outcomes = dict(zip(alone, bench.measure(list(alone.values())), strict=True))
    base_ms = bench.unpruned.reading.latency_ms
    rows = []
    for i, group in enumerate(bench.prepared.space.groups):
        outcome = outcomes.get(i)
        rows.append(
            GroupRow(
                name=group.name,
                width_before=group.width,
                width_after=winner.widths[i],
                saved_ms=base_ms - outcome.latency_ms if isinstance(outcome, Reading) else None,
            )
        )
    return tuple(rows)


def _policy_step(number: int, row: Mapping[str, Any]) -> PolicyStep:
    return PolicyStep(
        iteration=number,
        evaluations=int(row["evaluations"]),
        reward=float(row["quality_mean"]),
        cost=dict(row["excess_mean"]),
        multiplier=dict(row["multipliers"]),
        best=row["best_quality"],
    )


def versions() -> dict[str, str]:
    """Versions of what the result depends on."""
    from importlib.metadata import version

    from hwprune_device import __version__

    names = ("torch", "onnx", "onnxruntime", "ray", "numpy")
    return {"hwprune": __version__, **{name: version(name) for name in names}}
