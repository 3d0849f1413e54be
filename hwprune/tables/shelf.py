"""The shelf: where tables lie that nobody gave another place, so that searches find them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hwprune.tables.table import Table
from hwprune.tables.table_file import SUFFIX
from hwprune.user_cache import user_cache


def shelf() -> Path:
    """`$HWPRUNE_TABLES`, or `tables` in the user's cache folder; it may not be there yet."""
    return Path(os.environ.get("HWPRUNE_TABLES") or user_cache() / "tables")


def place_of(table: Table) -> Path:
    """Where a table lies on the shelf: one for each network, kind of board, and target."""
    target = table.target
    words = (
        table.own.name,
        table.own.architecture[:8],
        table.board,
        target.get("runtime", ""),
        target.get("precision", ""),
        f"{target.get('threads', 1)}t{target.get('batch', 1)}b",
        table.conditions_key[:8],
    )
    name = "-".join(re.sub(r"[^\w.]+", "_", str(word)).strip("_") for word in words)
    return shelf() / f"{name}{SUFFIX}"
