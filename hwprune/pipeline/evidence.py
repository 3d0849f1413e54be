"""The evidence: test accuracies, fresh readings, milliseconds by group, times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hwprune.candidate import Candidate
from hwprune.pipeline.agreement import with_accuracy
from hwprune.pipeline.contest import Contest
from hwprune.pipeline.delivery import Delivered
from hwprune.pipeline.engines import engine_doubts
from hwprune.pipeline.fresh import fresh_certificate, fresh_readings
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Progress
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


def gather(
    bench: Workbench,
    contest: Contest,
    delivered: Delivered,
    progress: Progress,
    *,
    commands: tuple[str, ...],
    started_at: str,
    step_s: Mapping[str, float],
) -> Result:
    """The result of a run; the test set is touched here and nowhere else."""
    prepared = bench.prepared
    candidates: dict[str, Candidate] = {UNPRUNED: prepared.space.unpruned}
    if contest.uniform is not None:
        candidates[UNIFORM] = contest.uniform.candidate
    candidates[HWPRUNE] = contest.winner.candidate
    progress.begin("certify", len(candidates))
    certificates, rows, readings = {}, [], []
    ours: Mapping[str, list[Reading]] = {}
    for name, candidate in candidates.items():
        certificates[name] = fresh_certificate(bench, "certificate", candidate)
        rows.append(_row(bench, delivered, name, candidate, certificates[name]))
        by_kind = fresh_readings(bench, "certificate", candidate)
        readings += [
            FinalReading(network=name, reading=r) for found in by_kind.values() for r in found
        ]
        ours = by_kind
        progress.advance(note=name)
    agreement = with_accuracy(
        bench, delivered.models[HWPRUNE], delivered.forms, delivered.agreement
    )
    certificate = replace(certificates[HWPRUNE], commands=commands, versions=versions())
    progress.end(certificate.status)
    return Result(
        deployment=_summary(bench),
        certificate=certificate,
        rows=tuple(rows),
        methods=_methods(contest),
        delivered_method=contest.winner.method,
        groups=_groups(bench, contest.winner.candidate),
        evaluations=contest.evaluations,
        policy=tuple(_policy_step(n, row) for n, row in enumerate(contest.policy_history, 1)),
        finetune=delivered.curves,
        final_readings=tuple(readings),
        timings=_timings(contest, step_s),
        agreement=agreement,
        engines=delivered.engines,
        conditions=certificate.conditions,
        doubts=(
            *delivered.doubts,
            *certificate.doubts,
            *agreement.doubts,
            *engine_doubts(delivered.engines, ours),
            *_poisoned(bench),
        ),
        commands=commands,
        started_at=started_at,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _timings(contest: Contest, step_s: Mapping[str, float]) -> Timings:
    return Timings(
        step_s=dict(step_s),
        candidate_s=contest.clock.candidate_s(),
        board_busy_share=contest.clock.board_busy_share(),
    )


def _readings(bench: Workbench, candidate: Candidate) -> list[Reading]:
    """The certificate's readings of a network on the first kind of board."""
    return fresh_readings(bench, "certificate", candidate)[bench.prepared.kinds[0]]


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
    certificate: Certificate,
) -> NetworkRow:
    model = bench.prepared.base.cost_model
    timed = next((f for f in certificate.findings if f.label.startswith("latency_ms")), None)
    first = next(iter(_readings(bench, candidate)), None)
    heldout = bench.accuracy([candidate], split="final")[0].result()
    # A network that two names share was fine-tuned once.
    shared = delivered.models.get(name, delivered.models[HWPRUNE])
    onnx = bench.prepared.base.onnx if name == UNPRUNED else shared
    return NetworkRow(
        name=name,
        accuracy_test=test_accuracy(bench, name, onnx),
        accuracy_heldout_before_finetune=None if isinstance(heldout, Failure) else heldout,
        latency_ms=timed.value if timed else (first.latency_ms if first else None),
        low_ms=timed.low if timed else (first.low_ms if first else None),
        high_ms=timed.high if timed else (first.high_ms if first else None),
        memory_mb=first.memory.peak_mb if first else None,
        params=model.params(candidate.widths),
        macs=model.macs(candidate.widths),
        passed=None if name == UNPRUNED else certificate.passed,
        widths=candidate.widths,
    )


def test_accuracy(bench: Workbench, name: str, onnx: bytes) -> float:
    """Accuracy on the test set, 0..1; computed once in a run."""
    from hwprune.network.accuracy import accuracy_of
    from hwprune.network.graph_module import to_module

    step = f"test accuracy {name}"
    known = bench.folder.step(step)
    if known is None:
        known = accuracy_of(to_module(onnx), bench.prepared.data, "test")
        bench.folder.finish(step, known)
    return float(known)


def _summary(bench: Workbench) -> DeploymentSummary:
    deployment = bench.prepared.deployment
    return DeploymentSummary(
        name=deployment.name,
        network=deployment.network.source,
        data=deployment.data.source,
        board=", ".join(bench.prepared.kinds),
        budget=deployment.limits,
        methods=deployment.search.methods,
        evaluations=deployment.search.evaluations,
        seed=deployment.search.seed,
    )


def _methods(contest: Contest) -> tuple[MethodRow, ...]:
    rows = []
    for method, seconds in contest.clock.seconds.items():
        found = [e for e in contest.evaluations if e.method == method]
        feasible = [e for e in found if e.feasible]
        best = max(feasible, key=lambda e: (e.accuracy or 0.0, -e.number), default=None)
        rows.append(
            MethodRow(
                name=method,
                evaluations=len(found),
                feasible=len(feasible),
                failed=sum(e.failure is not None for e in found),
                best_accuracy=best.accuracy if best else None,
                best_at=best.number if best else None,
                seconds=seconds,
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
        reward=float(row["accuracy_mean"]),
        cost=dict(row["excess_mean"]),
        multiplier=dict(row["multipliers"]),
        best=row["best_accuracy"],
    )


def versions() -> dict[str, str]:
    """Versions of what the result depends on."""
    from importlib.metadata import version

    names = ("torch", "onnx", "onnxruntime", "ray", "numpy")
    from hwprune_device import __version__

    return {"hwprune": __version__, **{name: version(name) for name in names}}
