"""Networks and readings as a latency table tells them."""

from __future__ import annotations

from hwprune.channels.base import BaseNetwork
from hwprune.tables.blocks import Window
from hwprune.tables.table import Role, TableNetwork, TableRow
from hwprune_device.reading import Reading


def table_network(name: str, base: BaseNetwork) -> TableNetwork:
    """A whole network as a table tells it."""
    return TableNetwork(
        name=name,
        architecture=base.architecture,
        base_id=base.base_id,
        count=1,
        copies=1,
        inputs=tuple(entry.shape for entry in base.inputs),
        groups=tuple((group.name, group.width) for group in base.plan.groups),
        layers=base.cost_model.layers(),
        peak=base.peak,
        weights=base.cost_model.form("params"),
    )


def row_of(reading: Reading, network: int, role: Role, widths: tuple[int, ...]) -> TableRow:
    """A reading as a row."""
    return TableRow(
        network=network,
        role=role,
        widths=tuple(widths),
        latency_ms=reading.latency_ms,
        low_ms=reading.low_ms,
        high_ms=reading.high_ms,
        p95_ms=reading.quantile_ms(0.95),
        memory_mb=reading.memory.peak_mb,
        runs=sum(map(len, reading.runs_ms)),
        doubts="; ".join(reading.doubts),
        taken_at=reading.taken_at,
    )


def block_network(window: Window) -> TableNetwork:
    """A block in its window."""
    base = window.base
    return TableNetwork(
        name=window.name,
        architecture=window.measured.architecture,
        base_id=window.measured.base_id,
        count=window.count,
        copies=window.copies,
        inputs=tuple(entry.shape for entry in base.inputs),
        groups=tuple((group.name, group.width) for group in base.plan.groups),
        layers=base.cost_model.layers(),
    )
