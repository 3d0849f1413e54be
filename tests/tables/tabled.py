"""Tables of small real networks, on made-up boards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from hwprune.board import Board, this_machine
from hwprune.channels.base import BaseNetwork
from hwprune.pipeline.tabled_farm import table_network
from hwprune.tables.model import judged
from hwprune.tables.table import Table
from tests.tables.block_board import block_table

Costs = Callable[[Sequence[int]], float]


def macs_ms(base: BaseNetwork) -> Costs:
    """A board that takes 1 ms for the unpruned network, and time in proportion to work."""
    whole = base.cost_model.macs(base.widths)
    return lambda widths: base.cost_model.macs(widths) / whole


def table_of(
    base: BaseNetwork, board: Board | None = None, name: str = "small", costs: Costs | None = None
) -> Table:
    """A table of this network as this board would run it.

    Args:
        costs: milliseconds by widths; without them those of `block_board`.
    """
    board = board or this_machine()
    own = replace(table_network(name, base), peak=None, weights=None)
    table = block_table(own, step=1)
    rows = {row.widths: row for row in table.rows}.values()
    if costs is not None:
        times = [costs(row.widths) for row in rows]
        rows = [
            replace(row, latency_ms=ms, low_ms=ms, high_ms=ms, p95_ms=ms)
            for row, ms in zip(rows, times, strict=True)
        ]
    return judged(
        replace(
            table,
            rows=tuple(rows),
            board=board.kind,
            target=asdict(board.target),
        )
    )
