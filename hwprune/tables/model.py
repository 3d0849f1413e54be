"""The model of a table: what it predicts at any widths, and how sure it is.

Two sources are learned from, alone and together, and the one that errs least on candidates that
were held out is believed: blocks between their neighbours, and the network as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from hwprune.candidate import SearchSpace
from hwprune.errors import InputError
from hwprune.layer import Layer
from hwprune.tables.cost_table import CostTable
from hwprune.tables.layer_costs import Forms, LayerCosts, Sample
from hwprune.tables.table import Role, Table, TableError, TableRow, latencies_of, widths_of

SOURCES = ("blocks", "networks", "both")
COVERS = 0.95
"""Of candidates like those held out, the share whose reading the interval holds."""
LEAST = 1e-6
"""Of a reading that a prediction counts as at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a table believes of one candidate."""

    latency_ms: float
    low_ms: float
    high_ms: float
    memory_mb: float | None
    outside: str = ""
    """Why the table does not know: the candidate is unlike all that was measured."""


class TableModel:
    """Predictions of a table, learned from its rows when it is made.

    Args:
        source: one of SOURCES; by default the table's own choice.

    Raises:
        InputError: there is no row to learn from, or the table knows no layers of its network.
    """

    def __init__(self, table: Table, source: str = "") -> None:
        self.table = table
        own, possible = table.own, _possible(table)
        if not own.layers:
            raise InputError(
                f"the table of {own.name} cannot predict",
                given="it was imported without the network's layers",
                possible="its rows, as table show and table export --format csv tell them",
                next_step="hwprune table build MODEL --board NAME makes a table that predicts",
            )
        if not possible:
            raise InputError(
                f"the latency table of {own.name} has no row to predict from",
                given=f"{len(table.rows)} rows, {sum(bool(r.doubts) for r in table.rows)} doubted",
                next_step="build it for longer, or on a quieter board",
            )
        wanted = source or table.source
        # The last possible source learns from the most rows.
        self.source = wanted if wanted in possible else possible[-1]
        before = None if self.source == "networks" else self._layers.forms(own.layers)
        self._costs = CostTable(own.layers, own.full, before=before)
        rows = table.whole("network")
        if self.source != "blocks":
            cost = latencies_of(rows)
            # By relative error, as a table is judged by its MAPE.
            self._costs.fit(widths_of(rows), cost, 1 / cost**2)
        read = rows or table.whole("held out")
        self._least = widths_of(read).min(axis=0) if read else np.array(own.full)

    @cached_property
    def _layers(self) -> LayerCosts:
        return learned(self.table)

    @cached_property
    def _memory(self) -> CostTable | None:
        return _memory(self.table)

    def is_of(self, space: SearchSpace) -> bool:
        """Whether a space is over the groups of the table's own network."""
        return self.table.own.groups == tuple((g.name, g.width) for g in space.groups)

    def latency_ms(self, widths: np.ndarray) -> np.ndarray:
        """Of the table's own network at widths [n, groups]; [n]."""
        return self.table.scale * self._costs.predict(np.asarray(widths))

    def memory_mb(self, widths: np.ndarray) -> np.ndarray | None:
        """Peak memory in MB, likewise; None where the runtime reports none."""
        return None if self._memory is None else self._memory.predict(np.asarray(widths))

    def by_layer_ms(self, widths: Sequence[int]) -> dict[str, float]:
        """What each layer takes of one candidate, with what follows it up to the next layer.

        Layers of one name, such as the two products of a cell, are taken together.
        """
        found: dict[str, float] = {}
        each = self.layers_ms(np.array([widths]))[0]
        for layer, ms in zip(self.table.own.layers, each, strict=True):
            found[layer.name] = found.get(layer.name, 0.0) + float(ms)
        return found

    def layers_ms(self, widths: np.ndarray) -> np.ndarray:
        """The same of candidates [n, groups], by place of the layer; [n, layers]."""
        return np.asarray(self.table.scale * self._costs.by_layer(np.asarray(widths)))

    @property
    def forms(self) -> Forms:
        """What is believed of the layers of the table's own network, in milliseconds."""
        found = self._costs.forms
        scale = self.table.scale
        return Forms(start=scale * found.start, of_layers=scale * found.of_layers)

    def layer_ms(self, layer: int, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """What a layer takes at counts of channels [...], as `layer_counts` has them; [...]."""
        return self.table.scale * self._costs.of_layer(layer, inputs, outputs)

    def layer_counts(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts of channels that inputs and outputs of a layer can have; ascending, without 0."""
        inputs, outputs = self._costs.counts(layer)
        return inputs[inputs > 0], outputs[outputs > 0]

    def predict(self, widths: np.ndarray) -> list[Prediction]:
        """What is believed of candidates [n, groups], and whether that can be believed."""
        widths = np.asarray(widths)
        latency, memory = self.latency_ms(widths), self.memory_mb(widths)
        away = math.exp(self.interval) if self.interval is not None else math.inf
        return [
            Prediction(
                latency_ms=float(latency[row]),
                low_ms=float(latency[row] / away),
                high_ms=float(latency[row] * away),
                memory_mb=None if memory is None else float(memory[row]),
                outside=self._outside(widths[row]),
            )
            for row in range(len(widths))
        ]

    @property
    def interval(self) -> float | None:
        """Half width of the interval of log latency; None where nothing was held out."""
        error = self.table.errors.get(self.source)
        return math.log1p(error.interval_pct / 100) if error else None

    def of_other(self, layers: Sequence[Layer], widths: np.ndarray) -> np.ndarray:
        """Latency of another network of layers like these, at widths [n, groups]; [n]."""
        return self.table.scale * self._layers.predict(layers, np.asarray(widths))

    def unread(self, layers: Sequence[Layer]) -> list[str]:
        """Layers of another network that are like none that was measured."""
        return self._layers.unread(layers)

    def _outside(self, widths: np.ndarray) -> str:
        names = [name for name, _ in self.table.own.groups]
        narrow = [
            f"{name} of {width} (measured from {least})"
            for name, width, least in zip(names, widths, self._least, strict=True)
            if width < least
        ]
        return f"narrower than what was measured: {', '.join(narrow[:3])}" if narrow else ""


def load_table(path: Path | str) -> TableModel:
    """A latency table's predictions: `predict(widths)`, `by_layer_ms(widths)`.

    Raises:
        InputError: the file is no table, or has nothing to predict from.
    """
    from hwprune.tables.table_file import read_table

    return TableModel(read_table(Path(path)))


def learned(table: Table) -> LayerCosts:
    """Costs of layers from rows of blocks, else of another board, else of whole networks."""
    roles = {row.role for row in table.rows if not row.doubts}
    # Never mixed: rows "before" are another board's, at that board's speed.
    role: Role = next(r for r in ("block", "before", "network") if r in roles)
    samples = []
    for number, network in enumerate(table.networks):
        rows = table.of(number, role)
        if rows:
            samples.append(
                Sample(
                    layers=network.layers,
                    widths=widths_of(rows),
                    cost=latencies_of(rows),
                    copies=network.copies,
                )
            )
    costs = LayerCosts(table.own.layers, table.own.full)
    costs.fit(samples)
    return costs


def judged(table: Table) -> Table:
    """The table with its errors, and with the source that errs least."""
    rows = table.whole("held out")
    possible = _possible(table)
    if len(rows) < 2 or not possible:
        return replace(table, source=(possible or [""])[-1])
    errors = {}
    read = table.scale * latencies_of(rows)
    for source in possible:
        model = TableModel(table, source)
        errors[source] = error_of(model.latency_ms(widths_of(rows)), read)
    best = min(errors, key=lambda source: errors[source].mape_pct)
    return replace(table, errors=errors, source=best, memory_error=_memory_error(table, rows))


def error_of(predicted: np.ndarray, read: np.ndarray) -> TableError:
    """How far predictions [n] lie from readings [n]."""
    from scipy import stats  # type: ignore[import-untyped]

    off = predicted / read - 1
    far = np.sort(far_of(predicted, read))
    ordered = np.ptp(predicted) > 0 and np.ptp(read) > 0
    # The smallest that holds this share of further candidates too, not only of these.
    rank = min(len(far), math.ceil((len(far) + 1) * COVERS))
    return TableError(
        count=len(read),
        mape_pct=float(100 * np.abs(off).mean()),
        bias_pct=float(100 * off.mean()),
        # Where all are equal there is no order to agree on.
        spearman=float(stats.spearmanr(predicted, read).statistic) if ordered else 0.0,
        kendall=float(stats.kendalltau(predicted, read).statistic) if ordered else 0.0,
        within_5_pct=float((np.abs(off) < 0.05).mean()),
        within_10_pct=float((np.abs(off) < 0.10).mean()),
        worst_pct=float(100 * np.abs(off).max()),
        interval_pct=float(100 * math.expm1(far[rank - 1])),
    )


def far_of(predicted: np.ndarray, read: np.ndarray) -> np.ndarray:
    """How far each prediction [n] lies from its reading, as a logarithm; [n].

    A model may predict less than nothing: then it is as far off as can be said.
    """
    return np.asarray(np.abs(np.log(np.maximum(predicted / read, LEAST))))


def _possible(table: Table) -> list[str]:
    """Sources that there are rows for. What another board took is none alone."""
    roles = {row.role for row in table.rows if not row.doubts}
    networks = bool(table.whole("network"))
    there = ("block" in roles, networks, networks and bool(roles & {"block", "before"}))
    return [source for source, known in zip(SOURCES, there, strict=True) if known]


def _memory(table: Table) -> CostTable | None:
    rows = [row for row in table.whole("network") if row.memory_mb is not None]
    if len(rows) < 2:
        return None
    own = table.own
    costs = CostTable(own.layers, own.full, own.memory)
    used = np.array([row.memory_mb for row in rows], float)
    costs.fit(widths_of(rows), used, 1 / used**2)
    return costs


def _memory_error(table: Table, rows: Sequence[TableRow]) -> TableError | None:
    costs = _memory(table)
    told = [row for row in rows if row.memory_mb is not None]
    if costs is None or len(told) < 2:
        return None
    return error_of(
        costs.predict(widths_of(told)), np.array([row.memory_mb for row in told], float)
    )
