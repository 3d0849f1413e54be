"""What latency tables believed of the delivered network, beside what boards read of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median

import numpy as np

from hwprune.evaluation import Evaluation
from hwprune.pipeline.contest import Contest
from hwprune.pipeline.workbench import Workbench
from hwprune.report.rows import PredictionRow
from hwprune.tables.model import TableModel
from hwprune_device.reading import PREDICTED, Reading


def predictions_of(
    bench: Workbench, contest: Contest, readings: Mapping[str, Sequence[Reading]]
) -> tuple[PredictionRow, ...]:
    """A row for each kind of board with a table; `readings` are the delivered network's."""
    if bench.pricing is None:
        return ()
    widths = np.array([contest.winner.candidate.widths])
    return tuple(
        _row(bench, kind, table, widths, readings.get(kind, ()), contest.evaluations)
        for kind, table in bench.pricing.tables.items()
    )


def _row(
    bench: Workbench,
    kind: str,
    table: TableModel,
    widths: np.ndarray,
    readings: Sequence[Reading],
    evaluations: Sequence[Evaluation],
) -> PredictionRow:
    found = table.predict(widths)[0]
    read = [r.latency_ms for r in readings if PREDICTED not in r.conditions]
    judged = math.isfinite(found.high_ms)
    off = _off_pct(bench, kind, evaluations)
    return PredictionRow(
        kind=kind,
        table=f"{table.table.own.name}, {table.table.built_at}",
        predicted_ms=found.latency_ms,
        low_ms=found.low_ms if judged else None,
        high_ms=found.high_ms if judged else None,
        read_ms=fmean(read) if read else None,
        spared=sum(not e.measured for e in evaluations),
        median_off_pct=median(off) if off else None,
    )


def _off_pct(bench: Workbench, kind: str, evaluations: Sequence[Evaluation]) -> list[float]:
    """Predictions less readings of the kind's latency, in percent of readings."""
    constraints = bench.budget.of_kind(kind, bench.prepared.kinds)
    labels = {c.label for c in constraints if c.quantity == "latency_ms"}
    return [
        100 * (e.predicted[label] / e.costs[label] - 1)
        for e in evaluations
        if e.measured and e.failure is None
        for label in labels & set(e.predicted) & set(e.costs)
    ]
