"""What the verbs of `hwprune boards` take in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

Result = TypeVar("Result")

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


def watched(stage: str, work: Callable[[], Result]) -> Result:
    """Do one thing that may take a while, and say so."""
    from hwprune.cli.progress import listener

    progress = listener()
    try:
        progress.begin(stage, None)
        done = work()
        progress.end()
    finally:
        getattr(progress, "close", lambda: None)()
    return done
