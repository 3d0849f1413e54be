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
    farm.place(base)
    outcome = farm.calibrate()
    if isinstance(outcome, Failure):
        raise BoardError(
            "the network cannot be measured",
            given=f"at '{outcome.stage}': {outcome.message}",
            next_step="hwprune doctor; what was measured is kept",
        )
    return outcome
