"""What the verbs of `hwprune table` take in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TableFile = Annotated[
    Path, typer.Argument(metavar="TABLE", help="A table's file.", show_default=False)
]
