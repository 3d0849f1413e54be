"""The file of a table: Parquet rows, and a header in JSON under the key `hwprune` of its metadata.

README.md of this room describes the form. Nothing in it is pickled; pyarrow, which Ray brings,
reads and writes it, and anything that reads Parquet reads the rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from hwprune.errors import InputError
from hwprune.layer import ChannelCount, Layer
from hwprune.operation import Operation
from hwprune.peak import Peak
from hwprune.products import Products
from hwprune.tables.table import Role, Table, TableError, TableNetwork, TableRow

if TYPE_CHECKING:
    import pyarrow

FORM = "hwprune latency table"
VERSION = 1
KEY = b"hwprune"
SUFFIX = ".parquet"
UNITS = {
    "latency_ms": "ms",
    "low_ms": "ms",
    "high_ms": "ms",
    "p95_ms": "ms",
    "memory_mb": "10^6 B",
}
_PLAIN = [f.name for f in fields(Table) if f.name not in ("networks", "rows", "errors")]
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
    header = json.dumps(header_of(table), allow_nan=False)
    content = content.replace_schema_metadata({KEY: header.encode()})
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(content, beside, compression="zstd")
        beside.replace(path)
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
    header = read_header(path, (content.schema.metadata or {}).get(KEY, b""))
    try:
        table = table_of(header)
        rows = tuple(_read_row(row) for row in _rows_of(content))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from None
    wrong = _contradiction(table) or next(filter(None, (misfit(table, row) for row in rows)), "")
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
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
        return table_of(read_header(path, metadata.get(KEY, b"")))
    except (OSError, pyarrow.ArrowException, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from None


def read_header(path: Path, text: str | bytes) -> dict[str, Any]:
    """The header of the table at `path`, of its JSON.

    Raises:
        InputError: it is none, of a newer form, or in other units.
    """
    try:
        header = json.loads(text)
        form, version = header["form"], int(header["version"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path} is no latency table",
            given="no header of hwprune's",
            next_step="hwprune table import reads tables of other tools",
        ) from None
    if form != FORM or version > VERSION:
        raise InputError(
            f"{path} is a table of another form",
            given=f"{form}, version {version}",
            possible=f"{FORM}, version up to {VERSION}",
            next_step="a newer hwprune may read it",
        )
    if header.get("units") != UNITS:
        raise InputError(
            f"{path} is a table in other units",
            given=str(header.get("units")),
            possible=str(UNITS),
        )
    return dict(header)


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
        raise KeyError(f"column {missing[0]}")
    return list(content.select(names).to_pylist())


def _read_row(row: Mapping[str, Any]) -> TableRow:
    return TableRow(**{**row, "widths": tuple(row["widths"])})


def _contradiction(table: Table) -> str:
    """Why a header cannot be one of a table; empty where it can."""
    if not table.networks:
        return "no network"
    for network in table.networks:
        counts = [count for layer in network.layers for count in (layer.inputs, layer.outputs)]
        groups = {group for count in counts for group, _ in count.per_unit}
        for group in sorted(groups - set(range(len(network.groups)))):
            return f"{network.name}: a layer of group {group}, of {len(network.groups)}"
    if not _is_time(table.scale):
        return f"scale {table.scale}"
    texts = {f.name: getattr(table, f.name) for f in fields(Table) if f.type == "str"}
    return next((f"{n} {text}" for n, text in texts.items() if not isinstance(text, str)), "")


def _is_time(value: object) -> bool:
    return isinstance(value, float | int) and math.isfinite(value) and value > 0


def misfit(table: Table, row: TableRow) -> str:
    """Why a row cannot be one of this table; empty where it can."""
    if not (isinstance(row.network, int) and 0 <= row.network < len(table.networks)):
        return f"a row of network {row.network}, of {len(table.networks)}"
    full = table.networks[row.network].full
    fits = len(row.widths) == len(full)
    if not fits or any(not 1 <= w <= most for w, most in zip(row.widths, full, strict=True)):
        return f"a row of widths {list(row.widths)}, of groups of {list(full)}"
    if row.role not in get_args(Role) or not isinstance(row.doubts, str):
        return f"a row of role {row.role}, with doubts {row.doubts!r}"
    if not all(map(_is_time, (row.latency_ms, row.low_ms, row.high_ms, row.p95_ms))):
        return f"a row of latency {row.latency_ms} ms ({row.low_ms} to {row.high_ms})"
    if row.memory_mb is not None and not 0 <= row.memory_mb < math.inf:
        return f"a row of memory {row.memory_mb} MB"
    return ""


def header_of(table: Table) -> dict[str, Any]:
    """All of a table but its rows, as JSON."""
    plain = {name: getattr(table, name) for name in _PLAIN if name != "memory_error"}
    errors = {source: asdict(error) for source, error in table.errors.items()}
    memory = table.memory_error
    return {
        "form": FORM,
        "version": VERSION,
        "units": UNITS,
        **plain,
        "errors": errors,
        "memory_error": None if memory is None else asdict(memory),
        "networks": [_network(network) for network in table.networks],
    }


def table_of(header: Mapping[str, Any]) -> Table:
    """A table without rows, of `header_of`."""
    memory = header["memory_error"]
    # What a file of an older hwprune does not tell has a default, or it is no table.
    plain = {name: header[name] for name in _PLAIN if name in header and name != "memory_error"}
    return Table(
        **plain,
        errors={source: TableError(**error) for source, error in header["errors"].items()},
        memory_error=None if memory is None else TableError(**memory),
        networks=tuple(_read_network(network) for network in header["networks"]),
        rows=(),
    )


def _network(network: TableNetwork) -> dict[str, Any]:
    peak, weights = network.peak, network.weights
    return {
        **{f.name: getattr(network, f.name) for f in fields(TableNetwork)},
        "layers": [asdict(layer) for layer in network.layers],
        "peak": None
        if peak is None
        else {"fixed": peak.fixed.tolist(), "per_unit": peak.per_unit.tolist()},
        "weights": None
        if weights is None
        else {
            "times": weights.times.tolist(),
            "first": [asdict(count) for count in weights.first],
            "second": [asdict(count) for count in weights.second],
        },
    }


def _read_network(data: Mapping[str, Any]) -> TableNetwork:
    peak, weights = data.get("peak"), data.get("weights")
    return TableNetwork(
        **{
            **data,
            "inputs": tuple(tuple(shape) for shape in data["inputs"]),
            "groups": tuple((name, int(width)) for name, width in data["groups"]),
            "layers": tuple(_layer(layer) for layer in data["layers"]),
            "peak": peak
            and Peak(fixed=np.array(peak["fixed"]), per_unit=np.array(peak["per_unit"])),
            "weights": weights
            and Products(
                times=np.array(weights["times"], float),
                first=[_count(count) for count in weights["first"]],
                second=[_count(count) for count in weights["second"]],
            ),
        }
    )


def _layer(data: Mapping[str, Any]) -> Layer:
    applied = data.get("operation")
    return Layer(
        **{
            **data,
            "outputs": _count(data["outputs"]),
            "inputs": _count(data["inputs"]),
            "operation": applied and _operation(applied),
        }
    )


def _operation(data: Mapping[str, Any]) -> Operation:
    facts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Operation(**facts)


def _count(data: Mapping[str, Any]) -> ChannelCount:
    return ChannelCount(
        fixed=data["fixed"], per_unit=tuple((group, units) for group, units in data["per_unit"])
    )
