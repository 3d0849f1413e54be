"""Tables of small real networks, on a board that takes for each layer what its channels cost."""

from __future__ import annotations

from dataclasses import asdict, replace

from hwprune.board import Board, this_machine
from hwprune.channels.base import BaseNetwork
from hwprune.pipeline.table_entries import table_network
from hwprune.tables.model import judged
from hwprune.tables.table import Table
from tests.tables.block_board import block_table


def table_of(base: BaseNetwork, board: Board | None = None, name: str = "small") -> Table:
    """A table of this network as this board would run it."""
    board = board or this_machine()
    own = replace(table_network(name, base), peak=None, weights=None)
    table = block_table(own, step=1)
    rows = {row.widths: row for row in table.rows}
    return judged(
        replace(
            table,
            rows=tuple(rows.values()),
            board=board.kind or board.name,
            target=asdict(board.target),
        )
    )
