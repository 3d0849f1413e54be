"""Where the command line writes: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from hwprune.plain_text import plain_text

if TYPE_CHECKING:
    from rich.console import Console

UNREAD = 141
"""What a shell reports for a command whose output nobody reads any more."""


def output() -> Console:
    """The console of results. Without a terminal it is as wide as its content needs."""
    from hwprune.report.console import PlainConsole

    class Results(PlainConsole):
        def on_broken_pipe(self) -> None:
            """rich would end with 1, which means a fault here."""
            end_unread()

    return Results(width=None if sys.stdout.isatty() else 120)


def end_unread() -> NoReturn:
    """End because whoever read the output has gone, as `head` does; what is left goes nowhere."""
    # Python flushes stdout once more when it ends, and would complain of the broken pipe there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(UNREAD)


def print_json(data: Any) -> None:
    """A machine-readable result on stdout, and nothing else there."""
    sys.stdout.write(plain_text(json.dumps(data, indent=1, ensure_ascii=False)) + "\n")


def short_list(names: tuple[str, ...] | list[str], room: int = 2) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:room])
    return shown if len(names) <= room else f"{shown} + {len(names) - room}"
