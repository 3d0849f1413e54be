"""A latency table in words and figures, for a terminal and as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hwprune.tables.table import Table, TableError, runs_on

if TYPE_CHECKING:
    from rich.console import Console


def table_facts(table: Table) -> dict[str, Any]:
    """What a table is of and how far it errs, as plain data."""
    own = table.own
    return {
        "network": own.name,
        "architecture": own.architecture,
        "board": table.board,
        "target": dict(table.target),
        "runtime_version": table.runtime_version,
        "built_at": table.built_at,
        "device_minutes": table.device_minutes,
        "rows": {
            role: sum(row.role == role for row in table.rows)
            for role in ("network", "block", "held out", "before")
        },
        "doubted": sum(bool(row.doubts) for row in table.rows),
        "blocks": [
            {"name": n.name, "met": n.count, "copies": n.copies, "groups": dict(n.groups)}
            for n in table.blocks
        ],
        "source": table.source,
        "errors": {source: asdict(error) for source, error in table.errors.items()},
        "memory_error": asdict(table.memory_error) if table.memory_error else None,
        "scale": table.scale,
        "begun_from": table.begun_from,
    }


def print_table(table: Table, console: Console) -> None:
    """What it is of, what was measured, and how far each source errs."""
    from hwprune.report.console import headed

    facts = table_facts(table)
    console.print(headed(table.own.name, f" on {table.board}: {runs_on(table)}"))
    rows = facts["rows"]
    console.print(
        f"measured: {rows['network']} candidates, {rows['block']} of {len(table.blocks)} "
        f"blocks, {rows['held out']} held out, in {table.device_minutes:.1f} device-minutes; "
        f"{facts['doubted']} rows doubted"
    )
    if table.begun_from:
        console.print(f"begun from {table.begun_from}")
    if table.scale != 1:
        console.print(f"scaled by {table.scale:.3f}, as a refresh found")
    if not table.errors:
        console.print(table.why_unjudged, style="yellow")
        return
    console.print(_errors(table))


def _errors(table: Table) -> Any:
    from rich.table import Table as Grid

    grid = Grid(box=None, header_style="bold", pad_edge=False)
    for heading in ("predicted from", "error", "bias", "rank", "Kendall", "within 5 %", "10 %"):
        grid.add_column(heading, justify="left" if heading == "predicted from" else "right")
    grid.add_column("worst", justify="right")
    grid.add_column("95 % within", justify="right")
    for source, error in table.errors.items():
        used = source == table.source
        grid.add_row(
            f"{source}{' (used)' if used else ''}", *_cells(error), style="bold" if used else ""
        )
    if table.memory_error:
        grid.add_row("memory", *_cells(table.memory_error))
    return grid


def _cells(error: TableError) -> tuple[str, ...]:
    return (
        f"{error.mape_pct:.1f} %",
        f"{error.bias_pct:+.1f} %",
        f"{error.spearman:.3f}",
        f"{error.kendall:.3f}",
        f"{100 * error.within_5_pct:.0f} %",
        f"{100 * error.within_10_pct:.0f} %",
        f"{error.worst_pct:.0f} %",
        f"± {error.interval_pct:.1f} %",
    )
