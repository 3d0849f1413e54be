"""The command line's entry: the verbs, and the options that stand before any verb."""

from __future__ import annotations

from typing import Annotated

import typer

from hwprune.cli.boards import boards
from hwprune.cli.cut import cut
from hwprune.cli.doctor import doctor
from hwprune.cli.farm import farm
from hwprune.cli.init import init
from hwprune.cli.inspect import inspect
from hwprune.cli.measure import measure
from hwprune.cli.prune import prune
from hwprune.cli.readings import readings
from hwprune.cli.report import report
from hwprune.cli.table_build import build
from hwprune.cli.table_exchange import export, import_
from hwprune.cli.table_show import show
from hwprune.cli.table_upkeep import diff, lint, merge, refresh
from hwprune.cli.verbs import Verbs

app = typer.Typer(
    name="hwprune",
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode="rich",
    # The traceback of an unexpected error is shown as Python shows it: whole, to be pasted.
    pretty_exceptions_enable=False,
    help="Prune a trained network until it keeps a latency and memory budget, measured on your "
    "own board.",
)
table = typer.Typer(
    name="table",
    no_args_is_help=True,
    help="Latency tables: what a board takes for a network and its blocks, at any widths.",
)
for table_verb in (build, show, lint, diff, refresh, merge, export):
    table.command()(table_verb)
# Its function cannot have the name, which is a word of Python's.
table.command("import")(import_)
for verb in (init, prune, report, inspect, cut, measure, doctor):
    app.command()(verb)
app.add_typer(farm)
app.add_typer(boards)
app.add_typer(readings)
app.add_typer(table)


def _version(wanted: bool) -> None:
    if wanted:
        from hwprune_device import __version__

        typer.echo(f"hwprune {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options that stand before any verb."""


def run() -> None:
    """The `hwprune` command."""
    app(prog_name="hwprune")
