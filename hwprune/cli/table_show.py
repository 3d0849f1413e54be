"""`hwprune table show`: how far a table errs, what layers take, and where the board steps."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwprune.cli.options import Json, TableFile

if TYPE_CHECKING:
    from rich.console import Console

    from hwprune.tables.layer_share import Shares
    from hwprune.tables.model import TableModel
    from hwprune.tables.staircase import Staircase
    from hwprune.tables.table import Table


def show(
    file: TableFile,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page with charts here.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how far a table errs, what each layer takes, and the widths at which the board steps.

    Example:  hwprune table show resnet18.parquet --html resnet18.html
    """
    from hwprune.cli.screen import output, print_json
    from hwprune.cli.table_text import print_table
    from hwprune.report.table_page import write_table_page
    from hwprune.tables.layer_share import shares_of
    from hwprune.tables.model import TableModel
    from hwprune.tables.staircase import staircases
    from hwprune.tables.table_file import read_table

    model = TableModel(_with_rows(read_table(file), file))
    if html is not None:
        write_table_page(model, html)
    if as_json:
        print_json(_facts(model) | ({"html": str(html)} if html is not None else {}))
        return
    console = output()
    print_table(model.table, console)
    console.print()
    console.print(_layers(shares_of(model)))
    console.print()
    _print_groups(staircases(model), console)
    if html is not None:
        console.print(f"\npage      {html}", soft_wrap=True)


def _facts(model: TableModel) -> dict[str, Any]:
    from hwprune.cli.table_text import table_facts
    from hwprune.tables.held_out import held_out_of
    from hwprune.tables.kind_map import kind_maps
    from hwprune.tables.layer_share import shares_of
    from hwprune.tables.staircase import staircases

    table, shares = model.table, shares_of(model)
    return {
        **table_facts(table),
        "made_by": table.made_by,
        "conditions_key": table.conditions_key,
        "conditions": dict(table.conditions),
        "protocol": dict(table.protocol),
        "unpruned_ms": shares.latency_ms,
        "layers": [asdict(layer) for layer in shares.layers],
        "beside_layers_ms": shares.beside_ms,
        "groups": [asdict(stair) for stair in staircases(model)],
        "kinds": [
            {
                "kind": kind.text,
                "layers": list(kind.layers),
                "inputs": kind.inputs.tolist(),
                "outputs": kind.outputs.tolist(),
                "ms": kind.ms.tolist(),
                "read": kind.read.tolist(),
            }
            for kind in kind_maps(model)
        ],
        "held_out": [asdict(one) for one in held_out_of(model)],
    }


def _with_rows(table: Table, file: Path) -> Table:
    """The table, if anything can be learned from it.

    Raises:
        InputError: it cannot.
    """
    from hwprune.errors import InputError

    if any(row.role != "held out" and not row.doubts for row in table.rows):
        return table
    raise InputError(
        f"nothing was measured that the table {file} could predict from",
        given=f"{len(table.rows)} rows, {sum(bool(row.doubts) for row in table.rows)} doubted",
        next_step="build it again: hwprune table build MODEL --board NAME",
    )


def _layers(shares: Shares) -> Any:
    from rich.table import Table as Grid

    grid = Grid(box=None, header_style="bold", pad_edge=False)
    grid.add_column("layer of the unpruned network", overflow="fold")
    for heading in ("in", "out", "ms", "share"):
        grid.add_column(heading, justify="right")
    for layer in shares.layers:
        grid.add_row(
            layer.name,
            str(layer.inputs),
            str(layer.outputs),
            f"{layer.ms:.4f}",
            f"{100 * layer.share:.1f} %",
        )
    beside = f"{100 * shares.beside_ms / shares.latency_ms:.1f} %"
    grid.add_row("of no one layer", "", "", f"{shares.beside_ms:.4f}", beside)
    grid.add_row("together", "", "", f"{shares.latency_ms:.4f}", "100.0 %", style="bold")
    return grid


def _print_groups(groups: list[Staircase], console: Console) -> None:
    from rich.table import Table as Grid

    from hwprune.report.figures import change

    grid = Grid(box=None, header_style="bold", pad_edge=False)
    grid.add_column("group", overflow="fold")
    grid.add_column("channels", justify="right")
    grid.add_column("at its narrowest", justify="right")
    grid.add_column("widths worth offering, of those read", overflow="fold")
    for stair in groups:
        widths = " ".join(map(str, stair.offered)) + (" *" if stair.shares_axis else "")
        least = f"{change(stair.at(stair.read[0]), stair.at(stair.widths[-1]))} at {stair.read[0]}"
        grid.add_row(stair.name, str(stair.widths[-1]), least, widths)
    console.print(grid)
    if any(stair.shares_axis for stair in groups):
        console.print("* all of them: shares an axis with other groups, so steps hang on theirs")
