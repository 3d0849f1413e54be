"""CSV that an export wrote, with its header where that lies beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hwprune.errors import InputError
from hwprune.stored import as_noun, said
from hwprune.tables.exports.csv_rows import MEASURED, TARGET, header_beside
from hwprune.tables.imports.rows_alone import network_alone, rows_alone, text_of
from hwprune.tables.table import Table, TableNetwork, TableRow
from hwprune.tables.table_file import misfit
from hwprune.tables.table_header import contradiction, read_header, table_of


def read_csv(path: Path, board: str = "") -> tuple[Table, tuple[str, ...]]:
    """Read CSV that an export wrote, with its header where that lies beside it.

    Raises:
        InputError: a column is missing, or a row is wrong.
    """
    try:
        lines = list(csv.DictReader(io.StringIO(text_of(path))))
    except csv.Error as error:
        raise InputError(f"{path} is no CSV", given=said(error)) from None
    if not lines:
        raise InputError(f"{path} holds no rows", next_step="hwprune table export writes them")
    # Line 1 of the file is the header.
    rows = [_csv_row(path, number, line) for number, line in enumerate(lines, start=2)]
    beside = header_beside(path)
    if beside.exists():
        table = replace(_headed(beside), rows=tuple(rows))
    else:
        table = _of_rows(path, board, lines, rows)
    for number, row in enumerate(rows, start=2):
        why = misfit(table, row)
        if why:
            raise InputError(f"line {number} of {path} does not fit the table", given=why)
    return table, ()


def _of_rows(
    path: Path, board: str, lines: Sequence[Mapping[str, str]], rows: Sequence[TableRow]
) -> Table:
    """A table of what the rows alone say."""
    told: dict[int, Mapping[str, str]] = {}
    for row, line in zip(rows, lines, strict=True):
        told.setdefault(row.network, line)
    # A network is made for every number up to the highest, so a damaged one must not be huge.
    if not 0 <= min(told) <= max(told) <= len(rows):
        raise InputError(
            f"{path} has rows of networks that it does not tell of",
            given=f"networks {min(told)} to {max(told)} in {len(rows)} rows",
        )
    networks = [_csv_network(path, told.get(n, {})) for n in range(max(told) + 1)]
    first = lines[0]
    target = {**{name: first.get(name) or "" for name in TARGET}, "options": {}}
    try:
        sizes = as_noun(dict[str, int], {n: first.get(n) or 1 for n in ("threads", "batch")})
        scale = as_noun(float, first.get("scale") or 1.0)
    except ValueError as error:
        raise InputError(f"line 2 of {path} is no row of a table", given=said(error)) from None
    return replace(
        rows_alone(path, board or first.get("board") or "", networks, rows),
        target=target | sizes,
        runtime_version=first.get("runtime_version") or "",
        conditions_key=first.get("conditions_key") or "",
        scale=scale,
    )


def _csv_row(path: Path, number: int, line: Mapping[str, str]) -> TableRow:
    try:
        measured = {name: line[name] or None for name in MEASURED}
        return as_noun(TableRow, {**line, **measured, "widths": line["widths"].split()})
    except (AttributeError, KeyError, ValueError) as error:
        raise InputError(
            f"line {number} of {path} is no row of a table",
            given=f"{type(error).__name__}: {error}",
            next_step="hwprune table export --format csv writes rows that can be read",
        ) from None


def _csv_network(path: Path, line: Mapping[str, str]) -> TableNetwork:
    """A network of what one of its rows says."""
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
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} does not tell of a network that its rows are of",
            given=f"{type(error).__name__}: {error}",
            possible="columns name, architecture, met, copies, shapes, groups (name=width; …)",
        ) from None


def _headed(beside: Path) -> Table:
    header = read_header(beside, text_of(beside))
    try:
        table = table_of(header)
        if wrong := contradiction(table):
            raise ValueError(wrong)
        return table
    except ValueError as error:
        raise InputError(
            f"{beside} is damaged",
            given=said(error),
            next_step="move it away to import the rows alone",
        ) from None
