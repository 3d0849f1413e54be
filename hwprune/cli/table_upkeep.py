"""`hwprune table lint|diff|refresh|merge`: whether tables are to be believed, and joined."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprune.cli.inspect import Input, Weights, parse_shapes
from hwprune.cli.options import Json, TableFile

if TYPE_CHECKING:
    from hwprune.tables.difference import Difference

Second = Annotated[Path, typer.Argument(metavar="OTHER", help="Another.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", help="The file to write.", show_default=False)]
DOUBTFUL = 1
"""Exit code of lint where it has found something, and of refresh where a table is not good."""


def lint(file: TableFile, as_json: Json = False) -> None:
    """Say what is doubtful about a table; the exit code is 1 where something is.

    Example:  hwprune table lint resnet18.parquet
    """
    from dataclasses import asdict

    from hwprune.cli.screen import output, print_json
    from hwprune.tables.lint import lint as findings_of
    from hwprune.tables.table_file import read_table

    found = findings_of(read_table(file))
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        for finding in found:
            text = f"{finding.kind:<22}{finding.where}: {finding.text}"
            output().print(text, soft_wrap=True)
        output().print(f"{len(found)} findings")
    if found:
        raise typer.Exit(DOUBTFUL)


def diff(file: TableFile, other: Second, as_json: Json = False) -> None:
    """Say what moved from one table to another of the same network, as after an upgrade.

    Example:  hwprune table diff before.parquet after.parquet
    """
    from dataclasses import asdict

    from hwprune.cli.screen import print_json
    from hwprune.tables.difference import difference
    from hwprune.tables.table_file import read_table

    found = difference(read_table(file), read_table(other))
    if as_json:
        print_json(asdict(found))
    else:
        _show(found)


def refresh(
    file: TableFile,
    model: Annotated[
        str, typer.Argument(metavar="MODEL|DEPLOYMENT", help="Its network.", show_default=False)
    ],
    board: Annotated[
        list[str] | None,
        typer.Option("--board", help="By default this machine.", show_default=False),
    ] = None,
    input_: Input = "",
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Read a few candidates again: the table is still good, is scaled, or has to be built again.

    A scaled table is written back. The exit code is 1 where it has to be built again.

    Example:  hwprune table refresh resnet18.parquet torchvision:resnet18:none --board my-jetson
    """
    from dataclasses import asdict

    from hwprune.cli.screen import output, print_json
    from hwprune.pipeline.refresh_table import refresh_table
    from hwprune.pipeline.tabled_network import tabled_network
    from hwprune.report.progress import shown
    from hwprune.tables.table_file import read_table, write_table

    known = read_table(file)
    subject = tabled_network(model, tuple(board or ()), parse_shapes(input_), weights)
    with shown() as progress:
        found = refresh_table(
            known, subject.base, subject.boards, progress, cluster=subject.cluster
        )
    if found.verdict == "scale":
        write_table(found.table, file)
    if as_json:
        facts = {"verdict": found.verdict, "ratio": found.ratio, "spread_pct": found.spread_pct}
        print_json({**facts, "error": asdict(found.error)})
    else:
        said = {
            "good": "still good",
            "scale": f"scaled by {found.ratio:.3f}, and written",
            "rebuild": "not to be mended by a scale: build it again",
        }
        output().print(
            f"{said[found.verdict]}; now {100 * (found.ratio - 1):+.1f} % "
            f"(candidates ± {found.spread_pct:.1f} %), predictions err by "
            f"{found.error.mape_pct:.1f} % on {found.error.count}"
        )
    if found.verdict == "rebuild":
        raise typer.Exit(DOUBTFUL)


def merge(file: TableFile, other: Second, out: Out) -> None:
    """Join two tables of the same network, kind of board and conditions.

    Example:  hwprune table merge mine.parquet yours.parquet --out both.parquet
    """
    from hwprune.cli.screen import output
    from hwprune.cli.table_text import print_table
    from hwprune.tables.merged import merged
    from hwprune.tables.table_file import read_table, write_table

    found = merged(read_table(file), read_table(other))
    write_table(found, out)
    print_table(found, output())
    output().print(f"written to {out}", soft_wrap=True)


def _show(found: Difference) -> None:
    from rich.table import Table as Grid

    from hwprune.cli.screen import output

    console = output()
    for name, first, second in found.facts:
        console.print(f"{name:<12}{first or 'none'} → {second or 'none'}")
    grid = Grid(box=None, header_style="bold", pad_edge=False)
    for heading in ("network or block", "read twice", "moved", "5 % to 95 %", "beyond noise"):
        grid.add_column(heading, justify="left" if heading == "network or block" else "right")
    for moved in found.moved:
        grid.add_row(
            moved.name,
            str(moved.count) if moved.count else "predicted",
            f"{100 * (moved.ratio - 1):+.1f} %",
            f"{100 * (moved.low - 1):+.1f} to {100 * (moved.high - 1):+.1f} %",
            f"{100 * moved.beyond_noise:.0f} %",
        )
    console.print(grid)
