"""`hwprune table export` and `import`: tables go to other tools, and come from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwprune.cli.options import Json, TableFile

SHOWN = 5
"""Reasons that are printed; --json has all."""


def export(
    table: TableFile,
    out: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="ofa, nn-meter, pyperf, csv, nni, paddleslim, fbnet or halp.",
            show_default=False,
        ),
    ],
    widths: Annotated[
        int,
        typer.Option(
            "--widths", min=2, help="Of each group at most so many; for forms that list blocks."
        ),
    ] = 8,
    as_json: Json = False,
) -> None:
    """Write a table in a form that another tool reads; README.md of hwprune/tables lists them.

    Example:  hwprune table export my.parquet 224_lookup_table.yaml --format ofa
    """
    from hwprune.cli.screen import output, print_json
    from hwprune.errors import InputError
    from hwprune.tables.exports import FORMS
    from hwprune.tables.table_file import read_table

    if form not in FORMS:
        raise InputError(
            "a table cannot be written in this form", given=form, possible=", ".join(FORMS)
        )
    written = FORMS[form](read_table(table), out, widths)
    files = [str(file) for file in written.files]
    if as_json:
        print_json(
            {"files": files, "entries": written.entries, "left_out": list(written.left_out)}
        )
        return
    output().print(f"{written.entries} entries in {' and '.join(files)}", soft_wrap=True)
    _print_left_out(written.left_out)


def import_(
    file: Annotated[
        Path,
        typer.Argument(help="once-for-all's .yaml, or .csv of an export.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="The table's file.", show_default=False)],
    board: Annotated[
        str, typer.Option("--board", help="The kind of board, where the file does not say.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Read a table of another tool. One of once-for-all's holds rows alone and cannot predict.

    Example:  hwprune table import 160_lookup_table.yaml --out note10.parquet --board note10
    """
    from hwprune.cli.screen import output, print_json
    from hwprune.tables.imports import read_foreign
    from hwprune.tables.table_file import write_table

    table, left_out = read_foreign(file, board)
    write_table(table, out)
    predicts = bool(table.own.layers)
    if as_json:
        print_json(
            {
                "file": str(out),
                "rows": len(table.rows),
                "predicts": predicts,
                "left_out": list(left_out),
            }
        )
        return
    said = "" if predicts else "; rows alone: it cannot predict other widths"
    output().print(f"{len(table.rows)} rows in {out}{said}", soft_wrap=True)
    _print_left_out(left_out)


def _print_left_out(left_out: tuple[str, ...]) -> None:
    from hwprune.cli.screen import output

    if not left_out:
        return
    console = output()
    console.print(f"left out: {len(left_out)}", style="yellow")
    for reason in left_out[:SHOWN]:
        console.print(f"  {reason}", soft_wrap=True)
    if len(left_out) > SHOWN:
        console.print(f"  and {len(left_out) - SHOWN} more; --json tells all")
