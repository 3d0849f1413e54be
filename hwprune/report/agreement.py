"""The agreement: how far outputs of the delivered forms are apart, and what boards score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwprune.metric import Metric

TOLERANCES: Mapping[str, float] = {
    "fp32": 1e-3,
    "tf32": 1e-2,
    "fp16": 1e-2,
    "bf16": 5e-2,
    "int8": 0.1,
}
"""Largest relative difference to torch that a precision explains: rounding, not a fault. What int8
costs a task is measured instead."""
COSTLY = 0.005
"""A loss by a precision that a reader has to know, as a share of the score."""


def tolerance_of(precision: str) -> float:
    """The tolerance where the deployment says none."""
    return TOLERANCES.get(precision, TOLERANCES["fp32"])


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardAgreement:
    """The delivered network on one kind of board, in the precision of that board."""

    kind: str
    precision: str
    error: float
    """Largest difference of an output to torch's in fp32, relative to the largest output."""
    tolerance: float
    score: float | None = None
    """The task's on the first `share` of the test part, computed by the board; None where its
    precision is that of torch."""
    score_fp32: float | None = None
    """The same in torch."""
    share: float = 1.0

    @property
    def holds(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.error <= self.tolerance

    def doubt(self, metric: Metric) -> str:
        """What its precision costs, in words; empty where that is little, or not known."""
        if self.score is None or self.score_fp32 is None:
            return ""
        loss = (self.score_fp32 - self.score) * (1 if metric.higher_is_better else -1)
        if loss <= COSTLY * (1.0 if metric.is_share else abs(self.score_fp32)):
            return ""
        return (
            f"in {self.precision} on {self.kind} the delivered network has {metric.name} "
            f"{metric.text(self.score)}, in fp32 {metric.text(self.score_fp32)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far the delivered forms' outputs are from torch's, relative to the largest output."""

    onnx_error: float | None
    board_error: float | None
    """The largest of all kinds of board."""
    tolerance: float
    """Of ONNX; of the boards too in results that do not name them."""
    boards: tuple[BoardAgreement, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every form that was compared is within its tolerance."""
        # Results that name no boards hold the boards' error against the one tolerance.
        told = self.onnx_error if self.boards else max(self._errors(), default=None)
        return (
            told is not None
            and told <= self.tolerance
            and all(board.holds for board in self.boards)
        )

    def doubts(self, metric: Metric) -> tuple[str, ...]:
        """What lower precisions cost, in words."""
        return tuple(found for board in self.boards if (found := board.doubt(metric)))

    def _errors(self) -> list[float]:
        return [e for e in (self.onnx_error, self.board_error) if e is not None]
