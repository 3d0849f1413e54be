"""Costs of candidates by latency tables, before a board is asked, corrected by its readings."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from hwprune.board import Board
from hwprune.budget import Constraint
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.channels.cost import CostModel
from hwprune.errors import DeploymentError
from hwprune.tables.layer_costs import Forms
from hwprune.tables.model import TableModel
from hwprune.tables.shelf import find_table, fits, is_of
from hwprune.tables.table import Table
from hwprune.tables.table_file import read_table

ENOUGH = 5
"""Readings after which a table is corrected by the median of what it missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A candidate's cost as tables believe it."""

    costs: Mapping[str, float]
    """By constraint label, in the constraint's own unit."""
    lowest: Mapping[str, float]
    """The same at the lower end of what is believed."""
    by_table: Mapping[str, float]
    """Latencies as the tables alone have them, before what readings have corrected."""


class Pricing:
    """Tables by kind of board, corrected by what boards read; safe to use from several threads.

    Args:
        model: counts params and multiply-accumulates.
        tables: by kind; a kind may have none.
        kinds: of the deployment's boards, in order.
    """

    def __init__(
        self, model: CostModel, tables: Mapping[str, TableModel], kinds: tuple[str, ...]
    ) -> None:
        self.tables = tables
        self._model = model
        self._first = kinds[0]
        self._missed: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def of(self, constraint: Constraint) -> TableModel | None:
        """The table of the kind of board that a constraint is for; None without one."""
        return self.tables.get(constraint.kind or self._first)

    def forms(self, limits: Mapping[str, Constraint]) -> dict[str, Forms]:
        """What is known of the layers, by label of each latency, as shares of its limit."""
        found = {}
        for label, constraint in limits.items():
            table = self.of(constraint) if constraint.quantity == "latency_ms" else None
            if table is not None:
                forms, limit = table.forms, constraint.at_most
                found[label] = Forms(start=forms.start / limit, of_layers=forms.of_layers / limit)
        return found

    def price(self, candidate: Candidate, limits: Mapping[str, Constraint]) -> Price:
        """The believed cost of a candidate, of what tables and structure cover."""
        costs, lowest, by_table = {}, {}, {}
        widths = np.array([candidate.widths])
        for label, constraint in limits.items():
            if constraint.quantity in ("params", "macs"):
                count = getattr(self._model, constraint.quantity)(candidate.widths)
                costs[label] = lowest[label] = float(count)
                continue
            table = self.of(constraint)
            if table is None:
                continue
            if constraint.quantity == "latency_ms":
                by_table[label] = float(table.latency_ms(widths)[0])
                value = by_table[label] * self._correction(label)
                costs[label] = value
                # No table has seen a branch that went as a whole: it may take any less.
                known = all(candidate.widths)
                # A table that was never judged may err by any factor, so its lowest is 0.
                lowest[label] = value / math.exp(table.interval or math.inf) if known else 0.0
            elif (
                constraint.quantity == "memory_mb"
                and (told := table.memory_mb(widths)) is not None
            ):
                costs[label] = lowest[label] = float(told[0])
        return Price(costs=costs, lowest=lowest, by_table=by_table)

    def sure_over(self, price: Price, limits: Mapping[str, Constraint]) -> bool:
        """Whether a candidate is over a latency for sure, and all its other costs are known."""
        if not set(limits) <= set(price.costs):
            return False
        return any(
            price.lowest[label] > constraint.at_most
            for label, constraint in limits.items()
            if constraint.quantity == "latency_ms"
        )

    def learn(self, price: Price, read: Mapping[str, float]) -> None:
        """Take in what a board read of a candidate that was priced."""
        with self._lock:
            for label, believed in price.by_table.items():
                if read.get(label, 0) > 0 and believed > 0:
                    # As logarithms: what a table misses by is a factor.
                    self._missed.setdefault(label, []).append(math.log(read[label] / believed))

    def _correction(self, label: str) -> float:
        with self._lock:
            missed = self._missed.get(label, [])
            return math.exp(median(missed)) if len(missed) >= ENOUGH else 1.0


def tables_for(
    named: tuple[str, ...] | None, base: BaseNetwork, boards: tuple[Board, ...]
) -> dict[str, Table]:
    """Latency tables that fit, by kind of board.

    Args:
        named: their files; None: those of the user's shelf.

    Raises:
        DeploymentError: one that is named fits no board, or is of another network.
        InputError: one cannot be read.
    """
    found: dict[str, Table] = {}
    for board in boards:
        kind = board.kind
        if board.connection == "table":
            table: Table | None = read_table(Path(board.table))
            table = table if table is not None and is_of(table, base) else None
        else:
            table = find_table(base, board) if named is None else None
        if table is not None:
            found[kind] = table
    for file in named or ():
        table = read_table(Path(file).expanduser())
        mine = [board for board in boards if fits(table, base, board)]
        if not mine:
            raise DeploymentError(
                f"the latency table {file} fits no board of this deployment",
                given=f"{table.own.name} on {table.board}, {dict(table.target)}",
                possible="; ".join(f"{b.kind}, {b.target}" for b in boards),
                next_step="hwprune table build makes one; or leave it out of search.tables",
            )
        found[mine[0].kind] = table
    return found
