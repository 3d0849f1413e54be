"""Asks a board again for a few candidates of a table: is it still right, or slower as a whole?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hwprune.board import Board
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError, InputError
from hwprune.pipeline.tabled_farm import placed, tabled_farm
from hwprune.progress import Progress
from hwprune.tables.begun import refuse_other
from hwprune.tables.model import TableModel, error_of
from hwprune.tables.shelf import fits
from hwprune.tables.table import Table, TableError, latencies_of, widths_of
from hwprune_device.reading import Reading

Verdict = Literal["good", "scale", "rebuild"]
SHARE, LEAST = 0.05, 12
"""Of a table's rows of the whole network, and how many at least, are read again."""
SAME = 0.02
"""A table whose latencies moved by less on the whole is still good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a board says of a table now."""

    verdict: Verdict
    ratio: float
    """Median of what is read now over what the table's rows say."""
    spread_pct: float
    """How far single candidates lie from that, typically."""
    error: TableError
    """Of the table's predictions, scaled by the ratio where that is the verdict."""
    table: Table
    """The table as it should be used from now on."""


def refresh_table(
    table: Table,
    base: BaseNetwork,
    boards: Sequence[Board],
    progress: Progress,
    *,
    seed: int = 0,
    cluster: str = "",
) -> Refreshed:
    """Measure a few of the table's candidates afresh and decide.

    Raises:
        InputError: the table is of another network or board.
        BoardError: no board answers, or too few candidates could be read.
    """
    refuse_other(table, base)
    _refuse_other_board(table, base, boards)
    rows = table.whole("network", "held out")
    count = min(len(rows), max(LEAST, round(SHARE * len(rows))))
    chosen = np.random.default_rng([seed, 7]).choice(len(rows), count, replace=False)
    some = [rows[int(place)] for place in chosen]
    readings = _read(base, boards, [row.widths for row in some], progress, cluster)
    pairs = [(row, now) for row, now in zip(some, readings, strict=True) if now is not None]
    if len(pairs) < 2:
        raise BoardError(
            "too few candidates could be read again", given=f"{len(pairs)} of {count}"
        )
    known, now = [row for row, _ in pairs], np.array([ms for _, ms in pairs])
    return decided(table, widths_of(known), latencies_of(known), now)


def _refuse_other_board(table: Table, base: BaseNetwork, boards: Sequence[Board]) -> None:
    for board in boards:
        if not fits(table, base, board):
            raise InputError(
                "the table is of another board, or of networks that run otherwise",
                given=f"{board.kind}, {board.target}",
                possible=f"{table.board}, {dict(table.target)}",
                next_step="name the table's own board with --board",
            )


def decided(table: Table, widths: np.ndarray, then: np.ndarray, now: np.ndarray) -> Refreshed:
    """What follows from candidates [n, groups] whose rows say `then` and which read `now`, [n]."""
    away = np.log(now / (table.scale * then))
    middle = float(np.median(away))
    # The middle half of a normal spread is 1.35 deviations wide; odd readings do not move it.
    spread = float(np.subtract(*np.quantile(away, [0.75, 0.25])) / 1.35)
    ratio = float(np.exp(middle))
    scaled = replace(table, scale=table.scale * ratio)
    # A table that was never judged is taken to err by 10 %.
    interval = TableModel(table).interval or 0.1
    moved = abs(middle) > SAME
    after = scaled if moved else table
    error = error_of(TableModel(after).latency_ms(widths), now)
    verdict: Verdict = "scale" if moved else "good"
    # Candidates moved apart, so no one factor mends the table.
    if spread > max(SAME, interval / 2) or error.mape_pct > 100 * np.expm1(interval):
        verdict, after = "rebuild", table
        error = error_of(TableModel(table).latency_ms(widths), now)
    return Refreshed(
        verdict=verdict,
        ratio=ratio,
        spread_pct=100 * float(np.expm1(spread)),
        error=error,
        table=after,
    )


def _read(
    base: BaseNetwork,
    boards: Sequence[Board],
    candidates: Sequence[tuple[int, ...]],
    progress: Progress,
    cluster: str,
) -> list[float | None]:
    """Latency of each candidate now, in ms; None where it gave no reading."""
    with tabled_farm(boards, "a latency table's refresh", cluster) as (farm, _):
        placed(farm, base)
        progress.begin("read again", len(candidates))
        outcomes = []
        for widths in candidates:
            outcomes += farm.remeasure(Candidate(widths=widths), 1)
            progress.advance()
        progress.end()
        # As a table's rows are: at the network's time on a board that nothing disturbs.
        calm = farm.calm_ms
        return [
            outcome.at_nominal(calm or outcome.base_nominal_ms).latency_ms
            if isinstance(outcome, Reading)
            else None
            for outcome in outcomes
        ]
