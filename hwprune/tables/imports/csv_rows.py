"""CSV that an export wrote, with its header where that lies beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwprune.errors import InputError
from hwprune.tables.exports.csv_rows import MEASURED, TARGET, header_beside
from hwprune.tables.imports.rows_alone import network_alone, rows_alone, text_of
from hwprune.tables.table import Table, TableNetwork, TableRow
from hwprune.tables.table_file import misfit
from hwprune.tables.table_header import read_header, table_of


def read_csv(path: Path, board: str = "") -> tuple[Table, tuple[str, ...]]:
    """Read CSV that an export wrote, with its header where that lies beside it.

    Raises:
        InputError: a column is missing, or a row is wrong.
    """
    lines = list(csv.DictReader(io.StringIO(text_of(path))))
    if not lines:
        raise InputError(f"{path} holds no rows", next_step="hwprune table export writes them")
    rows = [_csv_row(path, number, line) for number, line in enumerate(lines, start=2)]
    beside = header_beside(path)
    if beside.exists():
        table = replace(_headed(beside), rows=tuple(rows))
    else:
        told: dict[int, Mapping[str, str]] = {}
        for row, line in zip(rows, lines, strict=True):
            told.setdefault(row.network, line)
        if 0 not in told or sorted(told) != list(range(len(told))):
            told = {0: {}, **told}
        networks = [_csv_network(path, told.get(n, {})) for n in range(max(told) + 1)]
        table = replace(
            rows_alone(path, board or lines[0].get("board", ""), networks, rows),
            target=_target(lines[0]),
            runtime_version=lines[0].get("runtime_version", ""),
            conditions_key=lines[0].get("conditions_key", ""),
            scale=float(lines[0].get("scale") or 1.0),
        )
    for number, row in enumerate(rows, start=2):
        why = misfit(table, row)
        if why:
            raise InputError(f"line {number} of {path} does not fit the table", given=why)
    return table, ()


def _csv_row(path: Path, number: int, line: Mapping[str, str]) -> TableRow:
    try:
        measured = {name: float(line[name]) if line[name] else None for name in MEASURED}
        return TableRow(
            network=int(line["network"]),
            role=line["role"],  # type: ignore[arg-type]
            widths=tuple(int(width) for width in line["widths"].split()),
            runs=int(line["runs"]),
            doubts=line["doubts"],
            taken_at=line["taken_at"],
            **measured,  # type: ignore[arg-type]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"line {number} of {path} is no row of a table",
            given=f"{type(error).__name__}: {error}",
            next_step="hwprune table export --format csv writes rows that can be read",
        ) from None


def _csv_network(path: Path, line: Mapping[str, str]) -> TableNetwork:
    """A network of what one of its rows tells."""
    if not line:
        return network_alone(path.stem, ())
    try:
        pairs = [text.rpartition("=") for text in line["groups"].split("; ") if text]
        network = network_alone(
            line["name"],
            tuple(tuple(map(int, shape.split("x"))) for shape in line["shapes"].split()),
            tuple((name, int(width)) for name, _, width in pairs),
        )
        return replace(
            network,
            architecture=line["architecture"],
            count=int(line["met"]),
            copies=int(line["copies"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} does not tell of a network that its rows are of",
            given=f"{type(error).__name__}: {error}",
            possible="columns name, architecture, met, copies, shapes, groups (name=width; …)",
        ) from None


def _target(line: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: line.get(name, "") for name in TARGET}
    for name in ("threads", "batch"):
        found[name] = int(found[name] or 1)
    return {**found, "options": {}}


def _headed(beside: Path) -> Table:
    header = read_header(beside, text_of(beside))
    try:
        return table_of(header)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{beside} is damaged",
            given=f"{type(error).__name__}: {error}",
            next_step="move it away to import the rows alone",
        ) from None
