"""The fleet: one farm for each kind of board; a candidate is measured on every kind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from hwprune.board import Board
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.farm.farm import Farm
from hwprune.farm.kind import Nominal
from hwprune.farm.session import Outcome
from hwprune.farm.store import ReadingStore

Outcomes = Mapping[str, Outcome]
"""What came of one candidate, by kind of board."""


class Fleet:
    """Farms by kind, in the order in which the boards are given.

    `cluster.Cluster` must be started. Any number of threads may ask.
    """

    def __init__(
        self,
        boards: Sequence[Board],
        store: ReadingStore,
        *,
        nominal: Nominal = "typical",
        what: str = "",
    ) -> None:
        kinds: dict[str, list[Board]] = {}
        for board in boards:
            kinds.setdefault(board.kind or board.name, []).append(board)
        self.boards = min(len(alike) for alike in kinds.values())
        """How many measure different candidates at a time: every kind measures each of them."""
        self.farms = {
            kind: Farm(alike, store, nominal=nominal, what=what) for kind, alike in kinds.items()
        }

    def start(self) -> None:
        """Start every board.

        Raises:
            BoardError: a kind of which no board answers, or whose boards are not alike.
        """
        self._each(lambda farm: farm.start())

    def place(self, base: BaseNetwork) -> None:
        """Choose the network whose candidates are measured from now on."""
        for farm in self.farms.values():
            farm.place(base)

    def calibrate(self) -> Outcomes:
        """The unpruned network's reading on every kind."""
        with ThreadPoolExecutor(len(self.farms)) as pool:
            outcomes = pool.map(lambda farm: farm.calibrate(), self.farms.values())
            return dict(zip(self.farms, outcomes, strict=True))

    def measure(self, candidates: Sequence[Candidate]) -> list[Future[Outcomes]]:
        """A future for each candidate, done when every kind has measured it."""
        asked = {kind: farm.measure(candidates) for kind, farm in self.farms.items()}
        return [
            _join({kind: futures[i] for kind, futures in asked.items()})
            for i in range(len(candidates))
        ]

    def timings(self) -> dict[str, float]:
        """Seconds by stage and candidates over all kinds, and the mean busy share."""
        parts = [farm.timings() for farm in self.farms.values()]
        total = {name: sum(part[name] for part in parts) for name in parts[0]}
        return {**total, "busy_share": total["busy_share"] / len(parts)}

    @property
    def poisoned(self) -> dict[str, tuple[str, ...]]:
        """Architectures that took boards down too often, by kind."""
        return {kind: farm.poisoned for kind, farm in self.farms.items()}

    def close(self) -> None:
        """End boards and threads."""
        for farm in self.farms.values():
            farm.close()

    def _each(self, do: Callable[[Farm], None]) -> None:
        with ThreadPoolExecutor(len(self.farms)) as pool:
            list(pool.map(do, self.farms.values()))


def _join(futures: Mapping[str, Future[Outcome]]) -> Future[Outcomes]:
    """One future of all."""
    whole: Future[Outcomes] = Future()
    missing = len(futures)
    lock = threading.Lock()

    def arrived(_: object) -> None:
        nonlocal missing
        with lock:
            missing -= 1
            last = missing == 0
        if last:
            whole.set_result({kind: future.result() for kind, future in futures.items()})

    for future in futures.values():
        future.add_done_callback(arrived)
    return whole
