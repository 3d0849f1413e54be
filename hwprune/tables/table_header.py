"""The header of a table's file: all but its rows, as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from hwprune.errors import InputError
from hwprune.layer import ChannelCount, Layer
from hwprune.operation import Operation
from hwprune.peak import Peak
from hwprune.products import Products
from hwprune.tables.table import Table, TableError, TableNetwork

FORM = "hwprune latency table"
VERSION = 1
UNITS = {
    "latency_ms": "ms",
    "low_ms": "ms",
    "high_ms": "ms",
    "p95_ms": "ms",
    "memory_mb": "10^6 B",
}
_PLAIN = [f.name for f in fields(Table) if f.name not in ("networks", "rows", "errors")]


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


def contradiction(table: Table) -> str:
    """Why a header cannot be one of a table; empty where it can."""
    if not table.networks:
        return "no network"
    for network in table.networks:
        counts = [count for layer in network.layers for count in (layer.inputs, layer.outputs)]
        groups = {group for count in counts for group, _ in count.per_unit}
        for group in sorted(groups - set(range(len(network.groups)))):
            return f"{network.name}: a layer of group {group}, of {len(network.groups)}"
    if not is_time(table.scale):
        return f"scale {table.scale}"
    texts = {f.name: getattr(table, f.name) for f in fields(Table) if f.type == "str"}
    return next((f"{n} {text}" for n, text in texts.items() if not isinstance(text, str)), "")


def is_time(value: object) -> bool:
    """Whether a number is one that a time can be."""
    return isinstance(value, float | int) and math.isfinite(value) and value > 0


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
