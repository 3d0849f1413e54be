"""The latency table: what one kind of board took for a network and for its blocks, by widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hwprune.form import Form, Joined
from hwprune.layer import Layer
from hwprune.peak import Peak
from hwprune.products import Products

Role = Literal["block", "network", "held out", "before"]
"""What a row is for: a block between its neighbours; the whole network, to learn from; the whole
network, only to measure how far the table errs; what another kind of board took, to begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableNetwork:
    """One network that rows are of: the table's own, or a window around one of its blocks."""

    name: str
    """The table's own network's name, or the first layer of the block."""
    architecture: str
    """Architecture hash of what was measured, unpruned."""
    base_id: str
    """Its content hash, as the store of readings knows it."""
    count: int
    """How often the block is met in the network; 0 for the ends of windows alone."""
    copies: int
    """How many of it were measured at once, beside each other."""
    inputs: tuple[tuple[int, ...], ...]
    """Shapes at batch 1, N C H W for images."""
    groups: tuple[tuple[str, int], ...]
    """Name and unpruned width of each channel group."""
    layers: tuple[Layer, ...]
    """Of one copy."""
    peak: Peak | None = None
    """Of activations; of the table's own network alone, as are the weights."""
    weights: Products | None = None
    """Parameters, where they are products of two widths."""

    @property
    def identity(self) -> str:
        """The architecture hash; the name, where an import knows no hash."""
        return self.architecture or self.name

    @property
    def full(self) -> tuple[int, ...]:
        """Unpruned widths."""
        return tuple(width for _, width in self.groups)

    @property
    def memory(self) -> Form | None:
        """What the graph knows of memory."""
        forms = tuple(form for form in (self.peak, self.weights) if form is not None)
        return Joined(forms=forms) if forms else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """What readings of one network at some widths say together."""

    network: int
    """Place in the table's networks."""
    role: Role
    widths: tuple[int, ...]
    """Of one copy, where there are several."""
    latency_ms: float
    """Median; of all copies together."""
    low_ms: float
    """The median's 95 % interval."""
    high_ms: float
    p95_ms: float
    memory_mb: float | None
    """Peak, in MB of 10**6; None where the runtime reports none."""
    runs: int = 0
    """Timed runs behind it."""
    doubts: str = ""
    taken_at: str = ""
    """UTC, ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableError:
    """How far predictions lay from readings of candidates that nothing was learned from."""

    count: int
    mape_pct: float
    """Mean absolute error, in percent of the reading."""
    bias_pct: float
    """Mean error with its sign; positive: predicted slower than read."""
    spearman: float
    kendall: float
    within_5_pct: float
    """Share of candidates whose error is below 5 %, 0..1; likewise 10 %."""
    within_10_pct: float
    worst_pct: float
    interval_pct: float
    """Half width of the interval that holds 95 % of candidates like these, in percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table; `networks[0]` is its own network."""

    board: str
    """The kind of board."""
    target: Mapping[str, Any]
    """Runtime, precision, threads, batch and options, as readings were taken with."""
    runtime_version: str
    conditions_key: str
    """Of readings that may be mixed with these: same processor, clocks and runtime."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """What the board reported of itself at the first reading."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """How readings were taken."""
    made_by: str
    """hwprune's version."""
    built_at: str
    """UTC, ISO 8601."""
    device_minutes: float
    """That boards worked for it, all together."""
    networks: tuple[TableNetwork, ...]
    rows: tuple[TableRow, ...]
    errors: Mapping[str, TableError] = field(default_factory=dict)
    """By source, see `model.SOURCES`; empty before anything was held out."""
    source: str = ""
    """The source that predictions are from: the one that errs least."""
    memory_error: TableError | None = None
    begun_from: str = ""
    """Name, board and date of the table that rows "before" are from."""
    scale: float = 1.0
    """What `refresh` found latencies to have become, as a factor on every row."""

    @property
    def own(self) -> TableNetwork:
        """The network that the table is for."""
        return self.networks[0]

    @property
    def blocks(self) -> list[TableNetwork]:
        """Windows around blocks, without those that are of windows' ends alone."""
        return [network for network in self.networks[1:] if network.count]

    def of(self, network: int, *roles: Role) -> list[TableRow]:
        """Rows of a network without doubts, in those roles."""
        return [r for r in self.rows if r.network == network and r.role in roles and not r.doubts]

    @property
    def why_unjudged(self) -> str:
        """Why a table without errors has none."""
        held = sum(row.role == "held out" for row in self.rows)
        trusted = len(self.whole("held out"))
        reason = f"{trusted} of {held} held-out readings are without doubts" if held else ""
        return f"how far it errs is not known: {reason or 'nothing was held out'}"

    def whole(self, *roles: Role) -> list[TableRow]:
        """Rows of the table's own network without doubts."""
        return self.of(0, *roles)


def widths_of(rows: Sequence[TableRow]) -> np.ndarray:
    """Widths of rows, [rows, groups]."""
    return np.array([row.widths for row in rows])


def latencies_of(rows: Sequence[TableRow]) -> np.ndarray:
    """Latencies of rows in milliseconds, [rows]."""
    return np.array([row.latency_ms for row in rows])


def runs_on(table: Table) -> str:
    """What ran the networks: "onnxrt 1.23.0, fp32, 1 thread"."""
    target = table.target
    count = target.get("threads", 1)
    return (
        f"{target.get('runtime', '?')} {table.runtime_version}, {target.get('precision', '?')}, "
        f"{count} thread{'s' if count != 1 else ''}"
    )
