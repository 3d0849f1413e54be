"""Candidates that were held out: what was read of them, and what the table predicts."""

from __future__ import annotations

from dataclasses import dataclass

from hwprune.tables.model import TableModel
from hwprune.tables.table import widths_of


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """One candidate that nothing was learned from."""

    widths: tuple[int, ...]
    predicted_ms: float
    read_ms: float
    """As the board would read it today, where a refresh scaled the table; so is the interval."""
    low_ms: float
    """The reading's 95 % interval."""
    high_ms: float

    @property
    def off(self) -> float:
        """Error of the prediction as a share of the reading; positive: predicted slower."""
        return self.predicted_ms / self.read_ms - 1


def held_out_of(model: TableModel) -> list[HeldOut]:
    """All of a table that no doubt is about, in the order they were read."""
    rows, scale = model.table.whole("held out"), model.table.scale
    if not rows:
        return []
    return [
        HeldOut(
            widths=row.widths,
            predicted_ms=float(predicted),
            read_ms=scale * row.latency_ms,
            low_ms=scale * row.low_ms,
            high_ms=scale * row.high_ms,
        )
        for row, predicted in zip(rows, model.latency_ms(widths_of(rows)), strict=True)
    ]
