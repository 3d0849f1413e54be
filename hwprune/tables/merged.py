"""Two tables of one network on one kind of board as one."""

from __future__ import annotations

from dataclasses import replace

from hwprune.errors import InputError
from hwprune.tables.model import judged
from hwprune.tables.table import Table, TableRow

Key = tuple[int, tuple[int, ...], bool]
"""Network, widths, and whether another kind of board took it."""


def merged(first: Table, second: Table) -> Table:
    """Rows of both; of what both have read, the row with more runs. What one held out stays so.

    Raises:
        InputError: their readings cannot be mixed, they are begun from different tables, or the
            network that they are of is not known.
    """
    if not first.own.architecture:
        raise InputError(
            "these tables cannot be merged: they do not say of which network they are",
            given=f"{first.own.name}, imported without its network",
            possible="tables that hwprune table build made",
        )
    begun = dict.fromkeys(table.begun_from for table in (first, second) if table.begun_from)
    apart = {
        "network": (first.own.architecture, second.own.architecture),
        "board": (first.board, second.board),
        "target": (dict(first.target), dict(second.target)),
        "conditions": (first.conditions_key, second.conditions_key),
        "scale": (first.scale, second.scale),
        "groups": (first.own.groups, second.own.groups),
        # One of them may be begun and the other not; two begun ones need the same origin.
        "begun from": (next(iter(begun), ""), next(reversed(begun), "")),
    }
    wrong = [f"{name}: {a} and {b}" for name, (a, b) in apart.items() if a != b]
    if wrong:
        raise InputError(
            "these tables cannot be merged: their readings cannot be mixed",
            given="; ".join(wrong),
            next_step="hwprune table diff shows how they differ",
        )
    networks = list(first.networks)
    places = {network.architecture: place for place, network in enumerate(networks)}
    for network in second.networks:
        if network.architecture not in places:
            places[network.architecture] = len(networks)
            networks.append(network)
    rows: dict[Key, TableRow] = {}
    for table in (first, second):
        for row in table.rows:
            place = places[table.networks[row.network].architecture]
            _put(rows, replace(row, network=place))
    return judged(
        replace(
            first,
            networks=tuple(networks),
            rows=tuple(rows.values()),
            device_minutes=first.device_minutes + second.device_minutes,
            built_at=max(first.built_at, second.built_at),
            begun_from=next(iter(begun), ""),
        )
    )


def _put(rows: dict[Key, TableRow], row: TableRow) -> None:
    at = (row.network, row.widths, row.role == "before")
    known = rows.get(at)
    if known is None:
        rows[at] = row
        return
    better = max(known, row, key=lambda r: (not r.doubts, r.runs))
    # Learned from here and held out there, a row would make the error look small.
    held_out = "held out" in (known.role, row.role)
    rows[at] = replace(better, role="held out" if held_out else better.role)
