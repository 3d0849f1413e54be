"""What is known of a candidate once it was scored and measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from hwprune.candidate import Candidate
from hwprune_device.reading import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One candidate: how well it does its task on held-out data, and what it costs."""

    candidate: Candidate
    score: float | None
    """The task's metric on held-out data, in its own unit; None when the candidate failed, or was
    over its budget and its method learns nothing from such a score."""
    quality: float | None
    """What methods compare: 0..1, higher is better (`hwprune/promise.py`)."""
    excess: Mapping[str, float]
    """By constraint label, as a fraction of the limit; empty when the candidate failed. Of several
    budgets each has its own: `30 %: latency_ms`."""
    costs: Mapping[str, float]
    """By constraint label, in the constraint's own unit: the point value, without its interval."""
    share: float = 1.0
    """Of the held-out items that were scored; below 1 the score is an estimate from these."""
    failure: Failure | None = None
    method: str = ""
    """Which asked for it."""
    number: int = 0
    """1-based, within its method."""
    predicted: Mapping[str, float] = field(default_factory=dict)
    """By constraint label, what a latency table believed of it before."""
    measured: bool = True
    """False where a table knew it to be over the budget: then its costs are the table's."""
    proposed_by: str = ""
    """Who in the method thought of it: start, model, chance or policy; or the method's name."""

    @property
    def feasible(self) -> bool:
        """Measured, scored and within every constraint."""
        return (
            self.quality is not None
            and self.failure is None
            and all(excess <= 0 for excess in self.excess.values())
        )

    @property
    def worst_excess(self) -> float:
        """The largest excess; infinite when the candidate failed."""
        return (
            max(self.excess.values(), default=float("inf")) if not self.failure else float("inf")
        )

    def under(self, budget: str) -> Evaluation:
        """As one of several budgets sees it: its own constraints, by their plain labels."""
        if not budget:
            return self
        # Costs are by plain labels already: budgets have them in common.
        labels = labels_under(budget, self.excess)
        return replace(self, excess={plain: self.excess[full] for plain, full in labels.items()})

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def label_under(budget: str, plain: str) -> str:
    """A constraint's label, unique over all budgets; of the only budget the plain one."""
    return f"{budget}: {plain}" if budget else plain


def labels_under(budget: str, labels: Iterable[str]) -> dict[str, str]:
    """Of labels over all budgets those of one, by their plain labels."""
    front = label_under(budget, "")
    return {label.removeprefix(front): label for label in labels if label.startswith(front)}


def failed(candidate: Candidate, failure: Failure) -> Evaluation:
    """The evaluation of a candidate that could not be scored or measured."""
    return Evaluation(
        candidate=candidate, score=None, quality=None, excess={}, costs={}, failure=failure
    )


def best_of(evaluations: list[Evaluation]) -> Evaluation | None:
    """The best feasible evaluation; the earliest of equals; None if none is feasible.

    One whose score is an estimate was given up for being worse than another, so it is none.
    """
    feasible = [e for e in evaluations if e.feasible and e.share == 1.0]
    return max(feasible, key=lambda e: (e.quality or 0.0, -e.number), default=None)
