"""Boards of one kind, started with one network and the user's store, for a latency table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from hwprune.board import Board
from hwprune.channels.base import BaseNetwork
from hwprune.cluster import in_cluster
from hwprune.errors import BoardError
from hwprune.farm.farm import Farm
from hwprune.farm.store import ReadingStore
from hwprune.pipeline.head import Head
from hwprune.tables.blocks import Window
from hwprune.tables.table import Role, TableNetwork, TableRow
from hwprune.user_cache import store_path
from hwprune_device.reading import Failure, Reading


@contextmanager
def tabled_farm(
    boards: Sequence[Board], what: str, cluster: str = ""
) -> Iterator[tuple[Farm, ReadingStore]]:
    """A farm that is started, and its store; both are closed at the end.

    Args:
        what: it works for, as others shall read it.

    Raises:
        InputError: a board is a latency table itself.
        BoardError: no board answers.
    """
    with ExitStack() as stack:
        stack.enter_context(Head(boards))
        store = ReadingStore(store_path())
        stack.callback(store.close)
        stack.enter_context(in_cluster(cluster))
        farm = Farm(boards, store, what=what)
        stack.callback(farm.close)
        farm.start()
        yield farm, store


def placed(farm: Farm, base: BaseNetwork) -> Reading:
    """Have the boards measure this network from now on; what it takes unpruned.

    Raises:
        BoardError: they cannot.
    """
    # A farm measures candidates of one network at a time.
    farm.place(base)
    outcome = farm.calibrate()
    if isinstance(outcome, Failure):
        raise BoardError(
            "the network cannot be measured",
            given=f"at '{outcome.stage}': {outcome.message}",
            next_step="hwprune doctor; what was measured is kept",
        )
    return outcome


def table_network(name: str, base: BaseNetwork) -> TableNetwork:
    """A whole network as a table describes it."""
    return TableNetwork(
        name=name,
        architecture=base.architecture,
        base_id=base.base_id,
        count=1,
        copies=1,
        inputs=tuple(entry.shape for entry in base.inputs),
        groups=tuple((group.name, group.width) for group in base.plan.groups),
        layers=base.cost_model.layers(),
        peak=base.peak,
        weights=base.cost_model.form("params"),
    )


def row_of(reading: Reading, network: int, role: Role, widths: tuple[int, ...]) -> TableRow:
    """A reading as a row."""
    return TableRow(
        network=network,
        role=role,
        widths=tuple(widths),
        latency_ms=reading.latency_ms,
        low_ms=reading.low_ms,
        high_ms=reading.high_ms,
        p95_ms=reading.quantile_ms(0.95),
        memory_mb=reading.memory.peak_mb,
        runs=sum(map(len, reading.runs_ms)),
        doubts="; ".join(reading.doubts),
        taken_at=reading.taken_at,
    )


def block_network(window: Window) -> TableNetwork:
    """A block in its window."""
    base = window.base
    return TableNetwork(
        name=window.name,
        architecture=window.measured.architecture,
        base_id=window.measured.base_id,
        count=window.count,
        copies=window.copies,
        inputs=tuple(entry.shape for entry in base.inputs),
        groups=tuple((group.name, group.width) for group in base.plan.groups),
        layers=base.cost_model.layers(),
    )
