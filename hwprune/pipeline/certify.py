"""Fresh readings: a candidate in processes of its own, and the certificate that they give."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from hwprune.budget import Budget
from hwprune.candidate import Candidate
from hwprune.pipeline.costing import boards_gone
from hwprune.pipeline.workbench import Workbench
from hwprune.report.certificate import Certificate, certify, joined
from hwprune_device.reading import Failure, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAfresh:
    """A candidate's fresh readings, and what they say about the budget."""

    certificate: Certificate
    readings: dict[str, list[Reading]]
    """By kind of board."""


def read_afresh(bench: Workbench, purpose: str, candidate: Candidate) -> ReadAfresh:
    """Hold a candidate against the budget by readings in fresh processes, on every kind."""
    certificates, readings = [], {}
    for kind in bench.prepared.kinds:
        certificate, outcomes = _read_until_shown(bench, purpose, candidate, kind)
        certificates.append(certificate)
        readings[kind] = [outcome for outcome in outcomes if isinstance(outcome, Reading)]
    return ReadAfresh(certificate=joined(certificates), readings=readings)


def _read_until_shown(
    bench: Workbench, purpose: str, candidate: Candidate, kind: str
) -> tuple[Certificate, list[Reading | Failure]]:
    """Read until the budget is shown to be kept or not, three times the asked readings at most.

    More readings narrow the interval of a network that is on the edge of its budget.
    """
    budget = Budget(constraints=bench.budget.of_kind(kind, bench.prepared.kinds))
    model, asked = bench.prepared.base.cost_model, bench.prepared.deployment.certificate_readings
    if kind in bench.prepared.tabled:
        asked = 1  # a table has nothing to add
    for count in (asked, 2 * asked, 3 * asked):
        outcomes = fresh(bench, purpose, candidate, count, kind)
        certificate = certify(
            budget,
            outcomes,
            params=model.params(candidate.widths),
            macs=model.macs(candidate.widths),
            architecture=bench.prepared.base.architecture_of(candidate.widths),
            board=kind,
            issued_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        edge = certificate.status == "NOT SHOWN" and budget.constraints
        # A network that fails now and then is not shown to keep it, however often it is read.
        if not edge or any(isinstance(outcome, Failure) for outcome in outcomes):
            break
    return certificate, outcomes


def fresh(
    bench: Workbench, purpose: str, candidate: Candidate, count: int, kind: str
) -> list[Reading | Failure]:
    """`count` good readings for one purpose, each from a process of its own and none shared.

    A reading with doubts is taken again, up to `count` times in all; where the board stays
    restless the doubtful ones are given too. Readings of an interrupted session are kept.
    """
    name = f"{purpose} {bench.prepared.base.architecture_of(candidate.widths)[:16]} on {kind}"
    outcomes: list[Reading | Failure] = []
    for number in range(1, 2 * count + 1):
        outcomes.append(_fresh_one(bench, f"{name} {number}", candidate, kind))
        # A failure counts: to take it again would hide that the network fails at times.
        good = [o for o in outcomes if isinstance(o, Failure) or not o.doubts]
        if len(good) >= count:
            return good
    return outcomes


def _fresh_one(bench: Workbench, step: str, candidate: Candidate, kind: str) -> Reading | Failure:
    kept: Reading | Failure | None = bench.folder.step(step, Reading | Failure)
    if kept is not None:
        return kept
    outcome = bench.fleet.farms[kind].remeasure(candidate, 1)[0]
    if isinstance(outcome, Failure) and outcome.stage == "lost":
        raise boards_gone(outcome)
    bench.folder.finish(step, outcome.to_json())
    return outcome
