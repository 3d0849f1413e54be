"""`hwprune table`: latency tables of boards, made, looked at, kept, and handed to other tools."""

from __future__ import annotations

import typer

from hwprune.cli.table_build import build
from hwprune.cli.table_exchange import export, import_
from hwprune.cli.table_show import show
from hwprune.cli.table_upkeep import diff, lint, merge, refresh

table = typer.Typer(
    name="table",
    no_args_is_help=True,
    help="Latency tables: what a board takes for a network and its blocks, at any widths.",
)
for verb in (build, show, lint, diff, refresh, merge, export):
    table.command()(verb)
table.command("import")(import_)
