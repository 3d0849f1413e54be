"""The shelf: where tables lie that nobody gave another place, so that searches find them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, replace
from pathlib import Path

from hwprune.board import Board
from hwprune.channels.base import BaseNetwork
from hwprune.errors import InputError
from hwprune.tables.table import Table
from hwprune.tables.table_file import SUFFIX, read_head, read_table
from hwprune.user_cache import user_cache


def shelf() -> Path:
    """`$HWPRUNE_TABLES`, or `tables` in the user's cache folder; it may not be there yet."""
    return Path(os.environ.get("HWPRUNE_TABLES") or user_cache() / "tables")


def place_of(table: Table) -> Path:
    """Where a table lies on the shelf: one for each network, kind of board, and target."""
    target = table.target
    # Channels that are left whole and options of a runtime are too long for a name.
    rest = [table.own.architecture, table.own.groups, target.get("options")]
    words = (
        table.own.name,
        hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:8],
        table.board,
        target.get("runtime", ""),
        target.get("precision", ""),
        f"{target.get('threads', 1)}t{target.get('batch', 1)}b",
        table.conditions_key[:8],
    )
    name = "-".join(re.sub(r"[^\w.]+", "_", str(word)).strip("_") for word in words)
    return shelf() / f"{name}{SUFFIX}"


def is_of(table: Table, base: BaseNetwork) -> bool:
    """Whether a table is of this very network, whatever its weights."""
    groups = tuple((group.name, group.width) for group in base.plan.groups)
    return table.own.architecture == base.architecture and table.own.groups == groups


def fits(table: Table, base: BaseNetwork, board: Board) -> bool:
    """Whether a table is of this network, on boards of this kind as this one runs networks."""
    # As a file gives it back: tuples are lists in JSON.
    target = json.loads(json.dumps(asdict(board.target)))
    kind = board.kind
    return is_of(table, base) and table.board == kind and dict(table.target) == target


def find_table(base: BaseNetwork, board: Board) -> Table | None:
    """The newest table on the shelf that fits. Files that cannot be read are passed over."""
    fitting = []
    for path in sorted(shelf().glob(f"*{SUFFIX}")):
        try:
            head = read_head(path)
        except InputError:
            continue
        if fits(head, base, board):
            fitting.append((head.built_at, path))
    # Whole files only now: most tables of a shelf do not fit.
    for _, path in sorted(fitting, reverse=True):
        try:
            return read_table(path)
        except InputError:
            continue
    return None


def continued(table: Table, place: Path) -> Table:
    """The table with the device-minutes of the one it goes on from, where that lies there."""
    try:
        before = read_head(place)
    except InputError:
        return table
    # Readings of another base or other conditions are not used again, so their minutes are not.
    same = before.own.base_id == table.own.base_id, before.conditions_key == table.conditions_key
    if not all(same):
        return table
    return replace(table, device_minutes=table.device_minutes + before.device_minutes)
