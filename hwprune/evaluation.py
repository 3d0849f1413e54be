"""What is known of a candidate once it was scored and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hwprune.candidate import Candidate
from hwprune_device.reading import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One evaluation by one method: accuracy on held-out data, and excess over each constraint."""

    method: str
    number: int
    """1-based, within its method."""
    candidate: Candidate
    accuracy: float | None
    """Share of held-out images classified right, 0..1; None when the candidate failed."""
    excess: Mapping[str, float]
    """By constraint label, as a fraction of the limit; empty when the candidate failed."""
    costs: Mapping[str, float]
    """By constraint label, in the constraint's own unit: the point value, without its interval."""
    failure: Failure | None = None

    @property
    def feasible(self) -> bool:
        """Measured, scored and within every constraint."""
        return (
            self.accuracy is not None
            and self.failure is None
            and all(excess <= 0 for excess in self.excess.values())
        )

    @property
    def worst_excess(self) -> float:
        """The largest excess; infinite when the candidate failed."""
        return (
            max(self.excess.values(), default=float("inf")) if not self.failure else float("inf")
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """The inverse of `to_json`."""
        fields = dict(data)
        fields["candidate"] = Candidate(widths=tuple(fields["candidate"]["widths"]))
        if fields["failure"] is not None:
            fields["failure"] = Failure.from_json(fields["failure"])
        return cls(**fields)


def best_of(evaluations: list[Evaluation]) -> Evaluation | None:
    """The most accurate feasible evaluation; the earliest of equals; None if none is feasible."""
    feasible = [e for e in evaluations if e.feasible]
    return max(feasible, key=lambda e: (e.accuracy or 0.0, -e.number), default=None)
