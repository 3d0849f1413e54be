"""Builds a latency table: a network and its blocks are measured on boards of one kind."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from hwprune.board import Board
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError, InputError
from hwprune.farm.farm import Farm
from hwprune.farm.store import ReadingStore
from hwprune.farm.store_entries import of_base
from hwprune.pipeline.tabled_farm import block_network, placed, row_of, table_network, tabled_farm
from hwprune.progress import Progress
from hwprune.search_settings import SearchSettings
from hwprune.tables.begun import begun_from, refuse_other
from hwprune.tables.blocks import windows_of
from hwprune.tables.model import judged
from hwprune.tables.steps import Step, Widths, few_steps_of, steps_of
from hwprune.tables.table import Role, Table, TableRow
from hwprune.width_limit import group_choices
from hwprune_device import __version__
from hwprune_device.reading import Failure, Reading

RUNS = 30
"""Of a network in a usual reading, to estimate a table's duration before anything is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSettings:
    """What a table is wanted for, and what it may cost."""

    minutes: float = 30.0
    """Of this session; then the table says what it knows by then."""
    held_out: int = 50
    """Candidates that are measured only to tell how far the table errs."""
    blocks: bool = True
    """Measure blocks too; without them the table knows this network alone."""
    widths: SearchSettings = field(default_factory=SearchSettings)
    """Which widths are of interest."""
    seed: int = 0
    begin_from: Table | None = None
    """A table of the same network on another kind of board: then few readings do, of whole
    networks alone."""
    readings: int = 30
    """That are learned from where another table is begun from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A table, and what did not come of it."""

    table: Table
    failures: tuple[Failure, ...]
    """Candidates that gave no reading."""
    complete: bool
    """Whether all was measured before the minutes were over."""


def build_table(
    base: BaseNetwork,
    name: str,
    boards: Sequence[Board],
    settings: TableSettings,
    progress: Progress,
    *,
    cluster: str = "",
) -> Built:
    """Measure a network and its blocks until all is known or the minutes are over.

    Readings go to the user's store, so a table that is built again goes on where this one ended,
    and what searches have read of the network is learned from too.

    Args:
        name: of the network.
        boards: of one kind; they share the work.

    Raises:
        BoardError: no board answers, or none can measure the network.
        InputError: boards of several kinds or none that measures, or nothing of the network can
            be cut.
    """
    _check(base, boards)
    if settings.begin_from is not None:
        refuse_other(settings.begin_from, base)
    with tabled_farm(boards, f"latency table of {name}", cluster) as (farm, store):
        return _Builder(base, name, boards, settings, farm, store, progress).build()


class _Builder:
    def __init__(
        self,
        base: BaseNetwork,
        name: str,
        boards: Sequence[Board],
        settings: TableSettings,
        farm: Farm,
        store: ReadingStore,
        progress: Progress,
    ) -> None:
        self._base, self._name, self._board, self._settings = base, name, boards[0], settings
        self._farm, self._store, self._progress = farm, store, progress
        begun = settings.begin_from
        self._windows = windows_of(base) if settings.blocks and begun is None else []
        self._measured = [base, *(window.measured for window in self._windows)]
        self._copies = [1, *(window.copies for window in self._windows)]
        self._read: dict[tuple[int, Widths], tuple[Reading, Role]] = {}
        self._calm: dict[int, float] = {}
        """By network, its time unpruned when nothing disturbs a board."""
        self._failures: list[Failure] = []
        self._placed = -1

    def build(self) -> Built:
        """All steps, as far as the minutes reach."""
        until = time.monotonic() + 60 * self._settings.minutes
        steps = self._steps()
        self._progress.begin(f"measure {self._name}", None)
        calm = self._place(0)
        self._read[0, self._base.widths] = calm, "network"
        costs = [self._seconds(step, calm.latency_ms) for step in steps]
        self._progress.begin(f"table of {self._name}", round(sum(costs)) or 1)
        spent = done = 0.0
        for number, (step, cost) in enumerate(zip(steps, costs, strict=True)):
            if time.monotonic() > until:
                break
            self._take(step)
            spent, done = spent + cost, number + 1
            minutes = self._farm.timings()["busy"] / 60
            self._progress.advance(
                # Whole seconds, rounded so that they add up to the total.
                round(spent) - round(spent - cost),
                f"{minutes:.1f} device-minutes",
            )
        self._take_again(until)
        table = judged(self._table(calm, steps))
        self._progress.end(_note(table))
        return Built(table=table, failures=tuple(self._failures), complete=done == len(steps))

    def _take_again(self, until: float) -> None:
        """Ask once more for what was doubted: a board may have been disturbed for a while."""
        doubted: dict[tuple[int, Role], list[Widths]] = {}
        for (network, widths), (reading, role) in self._read.items():
            if reading.doubts:
                doubted.setdefault((network, role), []).append(widths)
        if not doubted:
            return
        self._progress.begin("take what is doubted again", sum(map(len, doubted.values())))
        # Whole networks first: they say how far the table errs.
        for network, role in sorted(doubted):
            if time.monotonic() > until:
                return
            found = tuple(doubted[network, role])
            self._take(Step(network=network, role=role, candidates=found))
            self._progress.advance(len(found))

    def _steps(self) -> tuple[Step, ...]:
        settings, ones = self._settings, (self._base, *(window.base for window in self._windows))
        own, *blocks = [_choices(one, settings.widths) for one in ones]
        if settings.begin_from is None:
            return steps_of(own, blocks, held_out=settings.held_out, seed=settings.seed)
        return few_steps_of(own, settings.readings, held_out=settings.held_out, seed=settings.seed)

    def _seconds(self, step: Step, own_ms: float) -> float:
        """Board time that a step is expected to take, by multiply-accumulates."""
        whole = max(1, self._base.cost_model.macs(self._base.widths))
        one = self._measured[step.network].cost_model
        macs = sum(one.macs(self._tiled(step.network, widths)) for widths in step.candidates)
        # For cutting and building one. A guess: nothing but the progress bar rests on it.
        each_s = 0.03
        return len(step.candidates) * each_s + RUNS * own_ms / 1e3 * macs / whole

    def _tiled(self, network: int, widths: tuple[int, ...]) -> tuple[int, ...]:
        return widths * self._copies[network]

    def _place(self, network: int) -> Reading:
        """Have the boards measure this network from now on."""
        self._placed = network
        calm = placed(self._farm, self._measured[network])
        self._calm[network] = self._farm.calm_ms or calm.base_nominal_ms
        return calm

    def _take(self, step: Step) -> None:
        if step.network != self._placed:
            self._place(step.network)
        asked = [Candidate(widths=self._tiled(step.network, w)) for w in step.candidates]
        for widths, future in zip(step.candidates, self._farm.measure(asked), strict=True):
            outcome = future.result()
            if isinstance(outcome, Reading):
                known = self._read.get((step.network, widths))
                # Taken again, a doubtful reading does not replace the one there is.
                if known is None or not outcome.doubts:
                    self._read[step.network, widths] = outcome, step.role
            elif outcome.stage == "lost":
                raise BoardError(
                    "the boards are gone",
                    given=outcome.message,
                    next_step="mend the board and build again: nothing is measured twice",
                )
            else:
                self._failures.append(outcome)
        self._calm[step.network] = self._farm.calm_ms or self._calm[step.network]

    def _rows(self, steps: Sequence[Step]) -> Iterator[TableRow]:
        """All readings, each network's at its time on a board that nothing disturbs.

        Blocks and the network are calibrated at different moments, and only in calm ones alike.
        """
        known = [(*key, *read) for key, read in self._read.items()]
        if self._settings.begin_from is None:
            known += [(0, *read, "network") for read in self._known_before(steps)]
        for network, widths, reading, role in known:
            calm = self._calm.get(network, reading.base_nominal_ms)
            yield row_of(reading.at_nominal(calm), network, role, widths)

    def _known_before(self, steps: Sequence[Step]) -> list[tuple[Widths, Reading]]:
        """What searches have read of the network, but for what was held out."""
        taken = {widths for network, widths in self._read if network == 0}
        taken |= {w for step in steps if step.role == "held out" for w in step.candidates}
        found = of_base(
            self._store, self._farm.conditions_key, self._farm.target_key, self._base.base_id
        )
        return [
            (entry.cut.widths, entry.reading)
            for entry in found
            # Tables know nothing of branches that went as a whole.
            if entry.cut is not None and all(entry.cut.widths) and entry.cut.widths not in taken
        ]

    def _table(self, calm: Reading, steps: Sequence[Step]) -> Table:
        board = self._board
        table = Table(
            board=board.kind,
            target=asdict(board.target),
            runtime_version=str(calm.target.get("version", "")),
            conditions_key=self._farm.conditions_key,
            conditions=dict(calm.conditions),
            protocol=asdict(board.protocol),
            made_by=__version__,
            built_at=datetime.now(UTC).isoformat(timespec="seconds"),
            device_minutes=self._farm.timings()["busy"] / 60,
            networks=(
                table_network(self._name, self._base),
                *(block_network(window) for window in self._windows),
            ),
            rows=tuple(self._rows(steps)),
        )
        return (
            table
            if self._settings.begin_from is None
            else begun_from(self._settings.begin_from, table)
        )


def _choices(base: BaseNetwork, settings: SearchSettings) -> list[tuple[int, ...]]:
    return [
        group_choices(
            group,
            multiple_of=settings.multiple_of,
            min_keep=settings.min_keep,
            limits=settings.limits,
        )
        for group in base.plan.groups
    ]


def _check(base: BaseNetwork, boards: Sequence[Board]) -> None:
    kinds = list(dict.fromkeys(board.kind for board in boards))
    if len(kinds) != 1:
        raise InputError(
            "a table is of one kind of board",
            given=", ".join(kinds) or "no board",
            next_step="build one for each kind",
        )
    if not base.plan.groups:
        raise InputError(
            "nothing of this network can be cut, so there is nothing to make a table of",
            next_step="hwprune inspect says why; hwprune measure times the network as it is",
        )


def _note(table: Table) -> str:
    error = table.errors.get(table.source)
    if error is None:
        return table.why_unjudged
    return (
        f"errs by {error.mape_pct:.1f} % on {error.count} held-out candidates, "
        f"rank correlation {error.spearman:.3f}"
    )
