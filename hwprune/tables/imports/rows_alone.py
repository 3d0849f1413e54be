"""A table of rows alone: it can be looked at and handed on, and predicts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hwprune.errors import InputError
from hwprune.tables.table import Table, TableNetwork, TableRow
from hwprune_device import __version__


def rows_alone(
    path: Path, board: str, networks: Sequence[TableNetwork], rows: Sequence[TableRow]
) -> Table:
    """A table of rows that nothing else is known of."""
    return Table(
        board=board or "unknown",
        target={},
        runtime_version="",
        conditions_key="",
        made_by=f"{__version__}, imported from {path.name}",
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
        device_minutes=0.0,
        networks=tuple(networks),
        rows=tuple(rows),
    )


def network_alone(
    name: str,
    inputs: Sequence[tuple[int, ...]],
    groups: tuple[tuple[str, int], ...] = (),
) -> TableNetwork:
    """A network whose layers are not known."""
    return TableNetwork(
        name=name,
        architecture="",
        base_id="",
        count=1,
        copies=1,
        inputs=tuple(inputs),
        groups=groups,
        layers=(),
    )


def text_of(path: Path) -> str:
    """A file's text.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read", given=str(error)) from None
