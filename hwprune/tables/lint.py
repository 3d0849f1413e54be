"""What is doubtful about a table: rows that contradict others, gaps, rows nobody would believe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwprune.tables.model import TableModel, far_of
from hwprune.tables.table import Table, TableRow, latencies_of

Kind = Literal["doubted", "slower when narrower", "hole", "far off", "loose", "not judged"]
FAR = 3.0
"""A row is far off where it lies this many of the table's intervals from the prediction."""
LOOSE = 0.10
"""A row is loose where half its interval is wider than this share of its reading."""
FEW = 8
"""A block with fewer good rows is not known."""
GAP = 0.5
"""A group's widths may leave out this share of it without a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is doubtful."""

    kind: Kind
    where: str
    """The network or block."""
    text: str


def lint(table: Table) -> list[Finding]:
    """All findings, network by network."""
    found: list[Finding] = []
    for number, network in enumerate(table.networks):
        rows = [row for row in table.rows if row.network == number and row.role != "before"]
        good = [row for row in rows if not row.doubts]
        found += [
            Finding(kind="doubted", where=network.name, text=f"{_named(row)}: {row.doubts}")
            for row in rows
            if row.doubts
        ]
        slower = _unlike_monotone(good)
        found += [Finding(kind="slower when narrower", where=network.name, text=t) for t in slower]
        found += [Finding(kind="loose", where=network.name, text=text) for text in _loose(good)]
        # Of a begun table's blocks the board itself has no rows, and needs none.
        if rows or not number:
            holes = _holes(good, network.groups)
            found += [Finding(kind="hole", where=network.name, text=text) for text in holes]
    return found + _far_off(table)


def _unlike_monotone(rows: list[TableRow]) -> Iterator[str]:
    """Rows that are narrower in every group than another one, and yet slower beyond both
    intervals: the worst for each.

    A board may truly do that, where widths leave its fast paths; then it is worth knowing too.
    """
    if not rows or not rows[0].widths:
        return
    widths = np.array([row.widths for row in rows])
    low, high = np.array([r.low_ms for r in rows]), np.array([r.high_ms for r in rows])
    for number, row in enumerate(rows):
        wider = (widths >= widths[number]).all(axis=1) & (widths != widths[number]).any(axis=1)
        faster = np.where(wider & (high < low[number]), high, np.inf)
        if np.isfinite(faster).any():
            other = rows[int(faster.argmin())]
            yield (
                f"{_named(row)} takes {row.latency_ms:.4g} ms, {_named(other)} "
                f"{other.latency_ms:.4g} ms"
            )


def _holes(rows: list[TableRow], groups: tuple[tuple[str, int], ...]) -> Iterator[str]:
    if len(rows) < FEW and groups:
        yield f"{len(rows)} good rows"
        return
    for place, (name, full) in enumerate(groups):
        known = sorted({0, full, *(row.widths[place] for row in rows)})
        gaps = np.diff(known)
        if full > 1 and gaps.max() > max(1, GAP * full):
            at = int(gaps.argmax())
            yield f"nothing of {name} between {known[at]} and {known[at + 1]} of {full}"


def _loose(rows: list[TableRow]) -> Iterator[str]:
    for row in rows:
        half = (row.high_ms - row.low_ms) / 2 / row.latency_ms
        if half > LOOSE:
            yield f"{_named(row)}: {row.latency_ms:.4g} ms ± {100 * half:.0f} %"


def _far_off(table: Table) -> list[Finding]:
    """Rows of the whole network that the rest contradicts."""
    if not table.errors:
        return [Finding(kind="not judged", where=table.own.name, text=table.why_unjudged)]
    model = TableModel(table)
    rows = table.whole("network", "held out")
    # A file may hold errors of other sources than the one that it names as its own.
    if model.interval is None:
        why = f"no error of the source '{table.source}' is in the table"
        return [Finding(kind="not judged", where=table.own.name, text=why)]
    predicted = model.latency_ms(np.array([row.widths for row in rows]))
    away = far_of(predicted, table.scale * latencies_of(rows))
    return [
        Finding(
            kind="far off",
            where=table.own.name,
            text=f"{_named(row)} was read {row.latency_ms:.4g} ms, the table says {p:.4g} ms",
        )
        for row, p, far in zip(rows, predicted, away, strict=True)
        if far > FAR * model.interval
    ]


def _named(row: TableRow) -> str:
    shown = " ".join(map(str, row.widths[:8]))
    return f"[{shown}{' …' if len(row.widths) > 8 else ''}]"
