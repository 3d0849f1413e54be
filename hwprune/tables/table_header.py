"""The header of a table's file: all but its rows, as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from hwprune.errors import InputError
from hwprune.layer import ChannelCount
from hwprune.peak import Peak
from hwprune.products import Products
from hwprune.stored import as_noun, plain_json
from hwprune.tables.table import Table, TableNetwork

FORM = "hwprune latency table"
VERSION = 1
UNITS = {
    "latency_ms": "ms",
    "low_ms": "ms",
    "high_ms": "ms",
    "p95_ms": "ms",
    "memory_mb": "10^6 B",
}
_MOST_CHANNELS = 2**24
_MOST_PLACES = 2**40
"""Far beyond any network: what is more would only exhaust the memory."""
_PLAIN = [f.name for f in fields(Table) if f.name not in ("networks", "rows", "errors")]


def read_header(path: Path, text: str | bytes) -> dict[str, Any]:
    """The header of the table at `path`, of its JSON.

    Raises:
        InputError: it is none, of a newer form, or in other units.
    """
    try:
        header = as_noun(dict[str, Any], plain_json(text))
        form, version = as_noun(tuple[str, int], (header.get("form"), header.get("version")))
    except ValueError:
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
    return header


def contradiction(table: Table) -> str:
    """Why a header cannot be one of a table; empty where it can."""
    if not table.networks:
        return "no network"
    for network in table.networks:
        if why := _impossible(network):
            return f"{network.name}: {why}"
    return "" if is_time(table.scale) else f"scale {table.scale}"


def _impossible(network: TableNetwork) -> str:
    """Why there is no such network; empty where there may be."""
    if any(not 1 <= width <= _MOST_CHANNELS for width in network.full):
        return f"groups of widths {list(network.full)}"
    for layer in network.layers:
        for count in (layer.inputs, layer.outputs):
            for group, _ in count.per_unit:
                if not 0 <= group < len(network.groups):
                    return f"a layer of group {group}, of {len(network.groups)}"
            # Cost tables keep a place for every count of an axis: a damaged count ends here.
            each = [units * network.full[group] for group, units in count.per_unit]
            if (
                min(count.fixed, *each, 0) < 0
                or not 1 <= count.fixed + sum(each) <= _MOST_CHANNELS
            ):
                return f"a layer of {count.fixed + sum(each)} channels"
        if not (1 <= layer.positions <= _MOST_PLACES and 1 <= layer.kernel <= _MOST_CHANNELS):
            return f"a layer of {layer.positions} positions and a kernel of {layer.kernel}"
    peak = network.peak
    if peak is not None and peak.per_unit.shape != (len(peak.fixed), len(network.groups)):
        return f"a peak of {len(peak.fixed)} moments and other groups"
    return ""


def is_time(value: float) -> bool:
    """Whether a number is one that a time can be."""
    return math.isfinite(value) and value > 0


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
    """A table without rows, of `header_of`.

    Raises:
        ValueError: a part of it is of another type, or missing.
    """
    plain = as_noun(list[dict[str, Any]], header.get("networks"))
    networks = [_with_forms(network) for network in plain]
    # What an older file does not have is left to its default.
    told = {name: header[name] for name in (*_PLAIN, "errors") if name in header}
    return as_noun(Table, {**told, "networks": networks, "rows": ()})


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


def _with_forms(network: Mapping[str, Any]) -> dict[str, Any]:
    """A network's plain data, with arrays in its forms."""
    peak, weights = network.get("peak"), network.get("weights")
    return {
        **network,
        "peak": None if peak is None else _peak(as_noun(_Peak, peak)),
        "weights": None if weights is None else _products(as_noun(_Weights, weights)),
    }


def _peak(kept: _Peak) -> Peak:
    return Peak(fixed=np.array(kept.fixed), per_unit=np.array(kept.per_unit))


def _products(kept: _Weights) -> Products:
    if not len(kept.times) == len(kept.first) == len(kept.second):
        raise ValueError("weights of axes without a partner")
    return Products(times=np.array(kept.times, float), first=kept.first, second=kept.second)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peak:
    """A `Peak` as a file holds it."""

    fixed: list[float]
    per_unit: list[list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weights:
    """`Products` as a file holds them."""

    times: list[float]
    first: list[ChannelCount]
    second: list[ChannelCount]
