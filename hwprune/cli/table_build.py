"""`hwprune table build`: a board is measured until its latency table is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprune.cli.inspect import Input, Weights, parse_shapes
from hwprune.cli.options import Json

if TYPE_CHECKING:
    from hwprune.pipeline.build_table import Built


Subject = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|DEPLOYMENT",
        help="A network as for `inspect`, or a deployment file.",
        show_default=False,
    ),
]
Boards = Annotated[
    list[str] | None,
    typer.Option(
        "--board",
        help="A board's name or profile; more of one kind share the work. By default this "
        "machine, or the deployment's.",
        show_default=False,
    ),
]
Minutes = Annotated[
    float, typer.Option("--minutes", min=0.1, help="When they are over, what is known counts.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="The file; by default in the user's cache.", show_default=False),
]
HeldOut = Annotated[
    int, typer.Option("--held-out", min=2, help="Candidates that tell how far the table errs.")
]
Blocks = Annotated[bool, typer.Option(help="Measure blocks too, which tell of other networks.")]
BeginFrom = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="A table of the same network on another board: then --readings are enough.",
        show_default=False,
    ),
]
Readings = Annotated[
    int, typer.Option("--readings", min=1, help="To learn from beside another table.")
]
Seed = Annotated[int, typer.Option("--seed", help="Which candidates are drawn.")]


def build(
    model: Subject,
    board: Boards = None,
    minutes: Minutes = 30.0,
    out: Out = None,
    held_out: HeldOut = 50,
    blocks: Blocks = True,
    input_: Input = "",
    weights: Weights = None,
    begin_from: BeginFrom = None,
    readings: Readings = 30,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure a network and its blocks on boards of one kind, and keep what they say.

    An interrupted build goes on where it ended: readings are kept.

    Example:  hwprune table build torchvision:resnet18:none --board my-jetson
    """
    from dataclasses import replace

    from hwprune.cli.screen import print_json
    from hwprune.pipeline.build_table import TableSettings, build_table
    from hwprune.pipeline.tabled_network import tabled_network
    from hwprune.report.progress import shown
    from hwprune.tables.shelf import continued, place_of
    from hwprune.tables.table_file import read_table, write_table

    subject = tabled_network(model, tuple(board or ()), parse_shapes(input_), weights)
    settings = TableSettings(
        minutes=minutes,
        held_out=held_out,
        blocks=blocks,
        widths=subject.widths,
        seed=seed,
        begin_from=read_table(begin_from) if begin_from else None,
        readings=readings,
    )
    with shown() as progress:
        built = build_table(
            subject.base, subject.name, subject.boards, settings, progress, cluster=subject.cluster
        )
    place = out or place_of(built.table)
    # An interrupted build's device-minutes count, too.
    built = replace(built, table=continued(built.table, place))
    write_table(built.table, place)
    if as_json:
        print_json(_facts(built, place))
        return
    _show(built, place)


def _show(built: Built, place: Path) -> None:
    from hwprune.cli.screen import output
    from hwprune.cli.table_text import print_table

    console = output()
    print_table(built.table, console)
    if built.failures:
        first = built.failures[0]
        console.print(
            f"{len(built.failures)} candidates gave no reading, the first at '{first.stage}': "
            f"{first.message}",
            style="yellow",
        )
    if not built.complete:
        console.print(
            "the minutes were over before all was measured; build again to go on", style="yellow"
        )
    console.print(f"written to {place}", soft_wrap=True)


def _facts(built: Built, place: Path) -> dict[str, object]:
    from hwprune.cli.table_text import table_facts

    return {
        "file": str(place),
        "complete": built.complete,
        "failures": [failure.to_json() for failure in built.failures],
        **table_facts(built.table),
    }
