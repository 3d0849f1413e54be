"""A latency table of a small network, with what a made-up board would have told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import numpy as np

from hwprune.board import Board
from hwprune.channels.base import BaseNetwork
from hwprune.pipeline.table_entries import table_network
from hwprune.tables.model import judged
from hwprune.tables.table import Table, TableRow


def macs_ms(base: BaseNetwork) -> Callable[[Sequence[int]], float]:
    """A board that takes 1 ms for the unpruned network, and time in proportion to work."""
    whole = base.cost_model.macs(base.widths)
    return lambda widths: base.cost_model.macs(widths) / whole


def small_table(base: BaseNetwork, board: Board, *, built_at: str = "2026-01-01") -> Table:
    """Of a network's cost as `macs_ms` has it."""
    costs, chance = macs_ms(base), np.random.default_rng(0)
    drawn = [tuple(int(chance.integers(1, w + 1)) for w in base.widths) for _ in range(60)]
    least = tuple(1 for _ in base.widths)
    row = TableRow(
        network=0,
        role="network",
        widths=base.widths,
        latency_ms=1.0,
        low_ms=1.0,
        high_ms=1.0,
        p95_ms=1.0,
        memory_mb=None,
    )
    rows = [
        replace(
            row,
            role="held out" if number >= 50 else "network",
            widths=widths,
            latency_ms=costs(widths),
        )
        for number, widths in enumerate([base.widths, least, *drawn])
    ]
    return judged(
        Table(
            board=board.kind or board.name,
            target=asdict(board.target),
            runtime_version="1",
            conditions_key="k" * 64,
            made_by="0",
            built_at=built_at,
            device_minutes=1.0,
            networks=(table_network("small", base),),
            rows=tuple(rows),
        )
    )
