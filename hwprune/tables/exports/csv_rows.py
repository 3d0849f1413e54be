"""CSV: one row a row of the table, as measured; beside it, in JSON, what rows cannot hold.

`hwprune table import` reads both. Without the JSON file the rows alone come back, and a table of
rows alone cannot predict.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from hwprune.tables.exports.grid import WIDTHS
from hwprune.tables.exports.written import Written, write_text
from hwprune.tables.table import Table, TableRow
from hwprune.tables.table_header import header_of

MEASURED = ("latency_ms", "low_ms", "high_ms", "p95_ms", "memory_mb")
TARGET = ("runtime", "precision", "threads", "batch")


def to_csv(table: Table, out: Path, each: int = WIDTHS) -> Written:
    """Write all rows, doubted ones too, and the table's header beside them.

    Args:
        each: without a meaning here, as nothing is predicted.

    Raises:
        InputError: the folder cannot be written to.
    """
    text = io.StringIO()
    rows = [_row(table, row) for row in table.rows]
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_text(out, text.getvalue())
    beside = header_beside(out)
    write_text(beside, json.dumps(header_of(table), allow_nan=False) + "\n")
    return Written(files=(out, beside), entries=len(rows))


def header_beside(file: Path) -> Path:
    """Where the header of a CSV file lies."""
    return file.with_name(f"{file.stem}.header.json")


def _row(table: Table, row: TableRow) -> dict[str, Any]:
    network, target = table.networks[row.network], table.target
    return {
        "board": table.board,
        **{name: target.get(name, "") for name in TARGET},
        "runtime_version": table.runtime_version,
        "conditions_key": table.conditions_key,
        "network": row.network,
        "name": network.name,
        "architecture": network.architecture,
        "met": network.count,
        "copies": network.copies,
        "shapes": " ".join("x".join(map(str, shape)) for shape in network.inputs),
        "groups": "; ".join(f"{name}={width}" for name, width in network.groups),
        "role": row.role,
        "widths": " ".join(map(str, row.widths)),
        # repr() of a float is read back as the same float.
        **{name: "" if (v := getattr(row, name)) is None else repr(float(v)) for name in MEASURED},
        "scale": repr(float(table.scale)),
        "runs": row.runs,
        "doubts": row.doubts,
        "taken_at": row.taken_at,
    }
