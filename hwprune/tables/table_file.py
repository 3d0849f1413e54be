"""The file of a table: Parquet rows, and a header in JSON under the key `hwprune` of its metadata.

README.md of this room describes the form. Nothing in it is pickled; pyarrow, which Ray brings,
reads and writes it, and anything that reads Parquet reads the rows.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprune.errors import InputError
from hwprune.stored import as_noun, said
from hwprune.tables.table import Table, TableRow
from hwprune.tables.table_header import (
    UNITS,
    contradiction,
    header_of,
    is_time,
    read_header,
    table_of,
)
from hwprune.whole_file import replacing

if TYPE_CHECKING:
    import pyarrow

KEY = b"hwprune"
SUFFIX = ".parquet"
_WIDTHS = ("network", "block", "role", "widths", "shapes")
_COLUMNS = (*_WIDTHS, *UNITS, "runs", "doubts", "taken_at")


def write_table(table: Table, path: Path) -> None:
    """Write a table; a file that is there is replaced whole or not at all.

    Raises:
        InputError: the folder cannot be written to.
    """
    import pyarrow
    import pyarrow.parquet

    content = pyarrow.Table.from_pylist([_row(table, row) for row in table.rows], _schema())
    # NaN is no JSON: other readers would stop at it.
    header = json.dumps(header_of(table), allow_nan=False)
    content = content.replace_schema_metadata({KEY: header.encode()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            pyarrow.parquet.write_table(content, part, compression="zstd")
    except OSError as error:
        raise InputError(f"the table cannot be written to {path}", given=str(error)) from None


def read_table(path: Path) -> Table:
    """Read a table.

    Raises:
        InputError: there is none, it is damaged, of a newer form or in other units, or rows do not
            fit its header.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        content = pyarrow.parquet.read_table(path)
    except FileNotFoundError:
        raise InputError(
            f"there is no latency table {path}",
            next_step="hwprune table build MODEL --board NAME makes one",
        ) from None
    except (OSError, pyarrow.ArrowException) as error:
        raise _damaged(path, str(error)) from None
    table = _headed(path, content.schema)
    try:
        rows = as_noun(tuple[TableRow, ...], _rows_of(content))
    except ValueError as error:
        raise _damaged(path, said(error)) from None
    wrong = next(filter(None, (misfit(table, row) for row in rows)), "")
    if wrong:
        raise _damaged(path, wrong)
    return replace(table, rows=rows)


def read_head(path: Path) -> Table:
    """A table without its rows, which is quicker.

    Raises:
        InputError: as `read_table`.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise _damaged(path, str(error)) from None
    return _headed(path, schema)


def _headed(path: Path, schema: pyarrow.Schema) -> Table:
    """The table of a file's header."""
    header = read_header(path, (schema.metadata or {}).get(KEY, b""))
    try:
        table = table_of(header)
    except ValueError as error:
        raise _damaged(path, said(error)) from None
    wrong = contradiction(table)
    if wrong:
        raise _damaged(path, wrong)
    return table


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"the latency table {path} is damaged",
        given=why[:300],
        next_step="build it again: readings that the store has are not taken again",
    )


def _schema() -> pyarrow.Schema:
    import pyarrow

    kinds = {
        "network": pyarrow.int32(),
        "widths": pyarrow.list_(pyarrow.int32()),
        "runs": pyarrow.int32(),
        **dict.fromkeys(UNITS, pyarrow.float64()),
    }
    return pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in _COLUMNS])


def _row(table: Table, row: TableRow) -> dict[str, Any]:
    network = table.networks[row.network]
    shapes = " ".join("x".join(map(str, shape)) for shape in network.inputs)
    return {**asdict(row), "block": network.name, "shapes": shapes}


def _rows_of(content: pyarrow.Table) -> list[dict[str, Any]]:
    names = [f.name for f in fields(TableRow)]
    missing = [name for name in names if name not in content.column_names]
    if missing:
        raise ValueError(f"column {missing[0]} is missing")
    # `block` and `shapes` are for readers without the header, which has both.
    return list(content.select(names).to_pylist())


def misfit(table: Table, row: TableRow) -> str:
    """Why a row cannot be one of this table; empty where it can."""
    if not 0 <= row.network < len(table.networks):
        return f"a row of network {row.network}, of {len(table.networks)}"
    full = table.networks[row.network].full
    fits = len(row.widths) == len(full)
    if not fits or any(not 1 <= w <= most for w, most in zip(row.widths, full, strict=True)):
        return f"a row of widths {list(row.widths)}, of groups of {list(full)}"
    # The interval of a reading with a wide spread reaches down to 0.
    low = row.low_ms == 0 or is_time(row.low_ms)
    if not (low and all(map(is_time, (row.latency_ms, row.high_ms, row.p95_ms)))):
        return f"a row of latency {row.latency_ms} ms ({row.low_ms} to {row.high_ms})"
    if row.memory_mb is not None and not 0 <= row.memory_mb < math.inf:
        return f"a row of memory {row.memory_mb} MB"
    return ""
