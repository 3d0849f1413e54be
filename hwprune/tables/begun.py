"""A table that is begun from another board's: what that one took, and some readings of its own."""

from __future__ import annotations

from dataclasses import replace

from hwprune.channels.base import BaseNetwork
from hwprune.errors import InputError
from hwprune.tables.shelf import is_of
from hwprune.tables.table import Table


def begun_from(other: Table, own: Table) -> Table:
    """A board's own few rows together with all that another kind of board took."""
    # Rows name networks by their places, and behind the first these are now the other table's.
    own = replace(own, rows=tuple(row for row in own.rows if row.network == 0))
    # Tables of one network hold out the same candidates by default: they stay unseen here too.
    # What the other was itself begun from is a third board's, at a speed of its own.
    others = [row for row in other.rows if row.role not in ("held out", "before")]
    before = tuple(replace(row, role="before") for row in others)
    runtime = f"{other.target.get('runtime', '?')} {other.runtime_version}"
    return replace(
        own,
        networks=(own.own, *other.networks[1:]),
        rows=own.rows + before,
        begun_from=f"{other.own.name} on {other.board}, {runtime}, {other.built_at}",
    )


def refuse_other(table: Table, base: BaseNetwork) -> None:
    """Check that a table is of this very network.

    Raises:
        InputError: it is of another one.
    """
    if is_of(table, base):
        return
    raise InputError(
        "the table is of another network",
        given=f"{table.own.name}, {table.own.architecture[:12]}, {len(table.own.groups)} groups",
        possible=f"a table of {base.architecture[:12]}, {len(base.widths)} groups",
        next_step="hwprune table build makes one",
    )
