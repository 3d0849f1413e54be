"""The certificate: fresh readings of the delivered network, held against the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from hwprune.budget import Budget, Constraint
from hwprune.report.interval import Interval, decisive, of_readings
from hwprune_device.reading import PREDICTED, Failure, Reading

Status = Literal["PASS", "FAIL", "NOT SHOWN", "NOT MEASURED"]
"""The last: what is said is from a latency table, and no board was asked."""
UNITS = {"latency_ms": "ms", "memory_mb": "MB", "energy_mj": "mJ", "params": "", "macs": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintFinding:
    """What the fresh readings say about one constraint."""

    constraint: Constraint
    """Absolute."""
    value: float | None
    """Mean of the fresh readings; None when there is none."""
    low: float | None
    high: float | None
    """95 % interval of `value`; both equal to it for what is counted, not timed."""
    readings: int
    """Fresh readings behind `value`; 0 for what is counted from the structure."""
    status: Status
    words: str
    """The same in a sentence."""

    @property
    def label(self) -> str:
        """The constraint's: `latency_ms`, `latency_ms@p95 (device) on orin`, `params`."""
        return self.constraint.label

    @property
    def limit(self) -> float:
        """In the constraint's own unit."""
        return self.constraint.at_most

    @property
    def unit(self) -> str:
        """`ms`, `MB`, `mJ`, or nothing for a count."""
        return UNITS.get(self.constraint.quantity, "")

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON, with what follows from the constraint for other readers."""
        return asdict(self) | {"label": self.label, "limit": self.limit}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The delivered network against the budget: a finding per constraint, and how it was read."""

    findings: tuple[ConstraintFinding, ...]
    architecture: str
    """Hash of the network that was read."""
    board: str
    target: Mapping[str, Any]
    """Runtime, threads, precision, batch: what selects a latency."""
    issued_at: str
    """UTC, ISO 8601."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    """What to type to read it again."""
    doubts: tuple[str, ...] = ()
    """What the fresh readings say against themselves."""

    @property
    def passed(self) -> bool:
        """Whether every constraint was shown to be kept; without any finding nothing is shown."""
        return bool(self.findings) and all(f.status == "PASS" for f in self.findings)

    @property
    def believed(self) -> bool:
        """Whether every constraint is kept as far as can be said: shown to be, or predicted."""
        return bool(self.findings) and all(
            f.status == "PASS"
            or (f.status == "NOT MEASURED" and f.high is not None and f.high <= f.limit)
            for f in self.findings
        )

    @property
    def status(self) -> Status:
        """The worst finding: FAIL before NOT MEASURED before NOT SHOWN before PASS."""
        found = {f.status for f in self.findings}
        worst: tuple[Status, ...] = ("FAIL", "NOT MEASURED")
        for status in worst:
            if status in found:
                return status
        return "PASS" if self.passed else "NOT SHOWN"

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON; `passed` and what findings add is for other readers."""
        findings = [finding.to_json() for finding in self.findings]
        return asdict(self) | {"passed": self.passed, "findings": findings}


def decide(limit: float, interval: Interval | None) -> Status:
    """PASS only if the interval's upper end is within the limit; FAIL if the value is over it."""
    if interval is None:
        return "NOT SHOWN"
    if interval.value > limit:
        return "FAIL"
    return "PASS" if interval.high <= limit else "NOT SHOWN"


def certify(
    budget: Budget,
    outcomes: Sequence[Reading | Failure],
    *,
    params: int,
    macs: int,
    architecture: str,
    board: str,
    issued_at: str,
    versions: Mapping[str, str] | None = None,
    commands: Sequence[str] = (),
) -> Certificate:
    """The certificate of a network read afresh, `outcomes` each from a process of its own.

    A network that sometimes fails on its board is not shown to keep a budget of time or memory,
    whatever its good readings say. A board that was lost (`lost`) is not held against it.

    Raises:
        ValueError: the budget is still relative, or a reading is of another network.
    """
    readings = [o for o in outcomes if isinstance(o, Reading)]
    failures = [o for o in outcomes if isinstance(o, Failure) and o.stage != "lost"]
    if any(c.relative for c in budget.constraints):
        raise ValueError("a certificate needs a budget in absolute units: call resolve() first")
    # The hash binds a certificate to the network that was delivered.
    if strangers := {r.architecture for r in readings} - {architecture}:
        raise ValueError(f"readings of another network: {sorted(strangers)}, not {architecture}")
    return Certificate(
        findings=tuple(
            _finding(c, readings, failures, params=params, macs=macs) for c in budget.constraints
        ),
        architecture=architecture,
        board=board,
        target=dict(readings[-1].target) if readings else {},
        issued_at=issued_at,
        conditions=dict(readings[-1].conditions) if readings else {},
        versions=dict(versions or {}),
        commands=tuple(commands),
        doubts=tuple(dict.fromkeys(doubt for r in readings for doubt in r.doubts)),
    )


def joined(certificates: Sequence[Certificate]) -> Certificate:
    """One certificate of the same network on several kinds of board; a single one as it is."""
    if len(certificates) == 1:
        return certificates[0]
    return replace(
        certificates[0],
        findings=tuple(finding for one in certificates for finding in one.findings),
        board=", ".join(one.board for one in certificates),
        target={one.board: dict(one.target) for one in certificates},
        conditions={one.board: dict(one.conditions) for one in certificates},
        doubts=tuple(f"{one.board}: {doubt}" for one in certificates for doubt in one.doubts),
    )


def _finding(
    constraint: Constraint,
    readings: Sequence[Reading],
    failures: Sequence[Failure],
    *,
    params: int,
    macs: int,
) -> ConstraintFinding:
    counted = {"params": params, "macs": macs}.get(constraint.quantity)
    if counted is not None:
        # Counted from the structure: exact, and no reading is behind it that could have failed.
        interval: Interval | None = Interval(value=counted, low=counted, high=counted)
        readings, failures = (), ()
    else:
        readings = decisive(constraint, readings)
        interval = of_readings(constraint, readings)
    status = decide(constraint.at_most, interval)
    if failures and status == "PASS":
        status = "NOT SHOWN"
    # Last, as it outdoes the others: nothing that a table says is a measurement.
    if any(PREDICTED in reading.conditions for reading in readings):
        status = "NOT MEASURED"
    finding = ConstraintFinding(
        constraint=constraint,
        value=interval.value if interval else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        readings=len(readings),
        status=status,
        words="",
    )
    return replace(finding, words=_words(finding, failures))


def _words(finding: ConstraintFinding, failures: Sequence[Failure]) -> str:
    if failures and finding.status == "NOT SHOWN":
        first = failures[0]
        return (
            f"{len(failures)} of {len(failures) + finding.readings} fresh readings failed, "
            f"the first at '{first.stage}': {first.message}"
        )
    if finding.value is None or finding.high is None:
        return "there is no fresh reading"
    value, limit = _figure(finding.value, finding.unit), _figure(finding.limit, finding.unit)
    if finding.status == "NOT MEASURED":
        return f"{value} (up to {_figure(finding.high, finding.unit)}) by a table; limit {limit}"
    if finding.status == "FAIL":
        over = (finding.value / finding.limit - 1) * 100
        return f"{value} is {over:.1f} % over the limit of {limit}"
    if finding.status == "NOT SHOWN":
        return (
            f"{value} is within {limit}, but its interval reaches "
            f"{_figure(finding.high, finding.unit)}: more readings, or a smaller network"
        )
    room = (1 - finding.high / finding.limit) * 100
    return f"{value} keeps the limit of {limit} with {room:.1f} % to spare at the interval's end"


def _figure(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}" if unit else f"{value:,.0f}"
