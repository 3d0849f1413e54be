"""What several verbs take in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="The board's name.", show_default=False)]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        help="Where profiles lie; by default profiles/boards, else ~/.config/hwprune/boards.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, help="Threads; the profile's by default.", show_default=False
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        "--batch", min=1, help="Inputs at once; the profile's by default.", show_default=False
    ),
]
TableFile = Annotated[
    Path, typer.Argument(metavar="TABLE", help="A table's file.", show_default=False)
]
