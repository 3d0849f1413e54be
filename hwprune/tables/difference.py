"""How two tables of one network differ: what moved, by how much, and whether beyond its noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwprune.errors import InputError
from hwprune.tables.model import TableModel
from hwprune.tables.table import Table, TableRow

Key = tuple[str, tuple[int, ...]]
"""A network's identity, and widths."""
LEAST = 5
"""Candidates of the network that both tables have read; of fewer, predictions are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How one network or block moved from one table to the other."""

    name: str
    count: int
    """Candidates that both have read; 0 where predictions are compared."""
    ratio: float
    """Median of the second table's latency over the first one's."""
    low: float
    """Smallest and largest of the middle 90 % of ratios."""
    high: float
    beyond_noise: float
    """Share of candidates whose two intervals do not meet, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two tables beside each other."""

    facts: tuple[tuple[str, str, str], ...]
    """What was measured otherwise: name, first, second."""
    moved: tuple[Moved, ...]
    """The network, then its blocks, those that moved most first."""


def difference(first: Table, second: Table) -> Difference:
    """What moved from the first table to the second.

    Raises:
        InputError: they are of different networks.
    """
    if (first.own.architecture, first.own.groups) != (
        second.own.architecture,
        second.own.groups,
    ):
        raise InputError(
            "the tables are of different networks",
            given=" and ".join(
                f"{own.name} ({own.architecture[:12]}, {len(own.groups)} groups)"
                for own in (first.own, second.own)
            ),
        )
    before, after = _rows(first), _rows(second)
    predicts = bool(first.own.layers and second.own.layers)
    moved = []
    for network in first.networks:
        keys = [key for key in before if key[0] == network.identity and key in after]
        if network is first.own and len(keys) < LEAST and predicts:
            moved.append(_predicted(first, second))
        elif keys:
            pairs = [(before[k], after[k]) for k in keys]
            moved.append(_moved(network.name, pairs, first, second))
    own = [m for m in moved if m.name == first.own.name]
    rest = sorted(
        (m for m in moved if m.name != first.own.name), key=lambda m: -abs(math.log(m.ratio))
    )
    return Difference(facts=tuple(_facts(first, second)), moved=(*own, *rest))


def _rows(table: Table) -> dict[Key, TableRow]:
    return {
        (table.networks[row.network].identity, row.widths): row
        for row in table.rows
        if not row.doubts and row.role != "before"
    }


def _moved(
    name: str, pairs: list[tuple[TableRow, TableRow]], first: Table, second: Table
) -> Moved:
    # Rows stay as they were read; what a refresh found is a factor beside them.
    scale = second.scale / first.scale
    ratios = np.array([scale * b.latency_ms / a.latency_ms for a, b in pairs])
    apart = [scale * b.low_ms > a.high_ms or scale * b.high_ms < a.low_ms for a, b in pairs]
    low, middle, high = np.quantile(ratios, [0.05, 0.5, 0.95])
    return Moved(
        name=name,
        count=len(pairs),
        ratio=float(middle),
        low=float(low),
        high=float(high),
        beyond_noise=sum(apart) / len(apart),
    )


def _predicted(first: Table, second: Table) -> Moved:
    """By predictions for the unpruned network and all candidates that either has read."""
    one, two = TableModel(first), TableModel(second)
    read = {r.widths for t in (first, second) for r in t.whole("network", "held out")}
    widths = np.array(sorted({first.own.full, *read}))
    ratios = two.latency_ms(widths) / one.latency_ms(widths)
    # Without held-out candidates no difference of predictions is beyond their noise.
    noise = (one.interval or math.inf) + (two.interval or math.inf)
    low, middle, high = np.quantile(ratios, [0.05, 0.5, 0.95])
    return Moved(
        name=first.own.name,
        count=0,
        ratio=float(middle),
        low=float(low),
        high=float(high),
        beyond_noise=float((np.abs(np.log(ratios)) > noise).mean()),
    )


def _facts(first: Table, second: Table) -> list[tuple[str, str, str]]:
    rows = [
        ("board", first.board, second.board),
        ("runtime", first.runtime_version, second.runtime_version),
        *(
            (key, str(first.target.get(key, "")), str(second.target.get(key, "")))
            for key in sorted({*first.target, *second.target})
        ),
        ("conditions", first.conditions_key[:12], second.conditions_key[:12]),
        ("built", first.built_at, second.built_at),
    ]
    return [row for row in rows if row[1] != row[2]]
