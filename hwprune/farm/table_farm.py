"""A farm without boards: it answers from a latency table, with what was read or is predicted."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NoReturn

import numpy as np

from hwprune.board import Board
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError, InputError
from hwprune.farm.answers import Outcome
from hwprune.farm.status import BoardStatus, FarmStatus
from hwprune.futures import done
from hwprune.tables.model import TableModel
from hwprune.tables.shelf import is_of
from hwprune.tables.table import Table, TableRow
from hwprune.tables.table_file import read_table
from hwprune_device.reading import PREDICTED, Failure, Memory, Reading

RUNS = 20
"""Of a reading that no board took: so many that a 95 % quantile is one of them."""
UNSURE = 2.0
"""How far a latency may truly lie, as a factor, where nothing was held out to say it."""


class TableFarm:
    """Answers as a farm of one board does, without one.

    Its readings carry `PREDICTED` among their conditions, so that nothing that follows from them
    is taken for measured.

    Args:
        board: whose profile names the table.
    """

    boards = 1

    def __init__(self, board: Board) -> None:
        self._board = board
        self._base: BaseNetwork | None = None
        self._asked = 0
        self._since = time.time()

    def start(self) -> None:
        """Read the table.

        Raises:
            InputError: it cannot be read.
        """
        self._table = read_table(Path(self._board.table))
        self._model = TableModel(self._table)
        self._rows = {row.widths: row for row in self._table.whole("network", "held out")}
        self._spread = _p95_over_median(self._table)

    def place(self, base: BaseNetwork) -> None:
        """Choose the network, which must be the table's, or of layers like its own.

        Raises:
            InputError: the table knows too little of it.
        """
        own = self._table.own
        self._base = base
        self._is_own = is_of(self._table, base)
        unread = [] if self._is_own else self._model.unread(base.cost_model.layers())
        if unread:
            raise InputError(
                f"the table of board '{self._board.name}' does not know this network",
                given=f"layers like none that was measured: {', '.join(unread[:5])}",
                possible=f"{own.name}, or a network of the same kinds of layers",
                next_step="hwprune table build makes a table of this network",
            )

    def calibrate(self) -> Outcome:
        """What the table says of the unpruned network."""
        return self._outcome(self._network.widths)

    def measure(self, candidates: Sequence[Candidate]) -> list[Future[Outcome]]:
        """What the table says of each candidate."""
        return [done(self._outcome(candidate.widths)) for candidate in candidates]

    def remeasure(self, candidate: Candidate, batches: int) -> list[Outcome]:
        """The same each time: asking again tells nothing new."""
        return [self._outcome(candidate.widths)] * batches

    def run_network(self, model: bytes, inputs: Sequence[np.ndarray]) -> NoReturn:
        """A table runs no network.

        Raises:
            BoardError: always.
        """
        raise BoardError(
            f"board '{self._board.name}' is a latency table: it runs no network",
            next_step="name a board that can be reached",
        )

    def engine(self, model: bytes, inputs: Sequence[np.ndarray]) -> None:
        """None: a table makes no engines."""

    def timings(self) -> dict[str, float]:
        """No board was busy."""
        stages = ("send", "cut", "build", "warm", "time", "busy", "idle", "busy_share")
        return {**dict.fromkeys(stages, 0.0), "candidates": float(self._asked)}

    def status(self) -> FarmStatus:
        """One board, which is never busy."""
        name = self._board.name
        board = BoardStatus(name=name, kind=self._board.kind, state="idle")
        return FarmStatus(
            farm=f"table-{name}",
            pid=0,
            what=self._board.table,
            started_at=self._since,
            written_at=time.time(),
            boards=(board,),
        )

    @property
    def poisoned(self) -> tuple[str, ...]:
        """No network takes a table down."""
        return ()

    def close(self) -> None:
        """Nothing is open."""

    @property
    def _network(self) -> BaseNetwork:
        if self._base is None:
            raise BoardError("no network was placed", next_step="call place")
        return self._base

    def _outcome(self, widths: tuple[int, ...]) -> Outcome:
        self._asked += 1
        row = self._rows.get(widths) if self._is_own else None
        architecture = self._network.architecture_of(widths)
        if row is not None:
            return self._reading(architecture, row, "a reading in the table")
        found = self._predicted(widths)
        if found is None:
            said = "the table has no reading of it, and nothing to predict it from"
            return Failure(stage="run", message=said, architecture=architecture)
        return self._reading(architecture, found, "predicted from the table")

    def _predicted(self, widths: tuple[int, ...]) -> TableRow | None:
        if not self._is_own:
            layers = self._network.cost_model.layers()
            latency = float(self._model.of_other(layers, np.array([widths]))[0])
            # Nothing of another network was held out to say how far this errs.
            low, high, memory, outside = 0.0, math.inf, None, ""
        else:
            found = self._model.predict(np.array([widths]))[0]
            latency, memory = found.latency_ms, found.memory_mb
            low, high, outside = found.low_ms, found.high_ms, found.outside
        if not (np.isfinite(latency) and latency > 0):
            return None
        return TableRow(
            network=0,
            role="network",
            widths=widths,
            latency_ms=latency,
            low_ms=low if low > 0 else latency / UNSURE,
            high_ms=high if math.isfinite(high) else latency * UNSURE,
            p95_ms=latency * self._spread,
            memory_mb=memory,
            doubts=outside,
        )

    def _reading(self, architecture: str, row: TableRow, how: str) -> Reading:
        # Rows are as they were read; the model has applied a refresh's scale already.
        table, scale = self._table, 1.0 if how.startswith("predicted") else self._table.scale
        latency = scale * row.latency_ms
        # The 19th of twenty is the quantile, see `Reading.quantile_ms`, so the last two are at it.
        runs = (*(latency,) * (RUNS - 2), *(scale * row.p95_ms,) * 2)
        return Reading(
            reading_id=uuid.uuid4().hex,
            architecture=architecture,
            target={**table.target, "version": table.runtime_version},
            batch_id="table",
            taken_at=row.taken_at or table.built_at,
            clock="wall",
            latency_ms=latency,
            low_ms=scale * row.low_ms,
            high_ms=scale * row.high_ms,
            interval_source=how,
            ratio=1.0,
            base_nominal_ms=latency,
            runs_ms=(runs,),
            base_ms=(latency,),
            wall_ms=latency,
            cpu_ms=None,
            memory=Memory(weights_mb=0.0, activations_mb=row.memory_mb),
            build_s=0.0,
            model_mb=0.0,
            doubts=(row.doubts,) if row.doubts else (),
            conditions={PREDICTED: f"{how} {table.own.name} on {table.board}, {table.built_at}"},
        )


def _p95_over_median(table: Table) -> float:
    rows = table.whole("network", "held out")
    return float(np.median([row.p95_ms / row.latency_ms for row in rows])) if rows else 1.0
