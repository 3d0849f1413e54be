"""The fleet: one farm for each kind of board; a candidate is measured on every kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from hwprune.board import Board
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError
from hwprune.farm.answers import Outcome
from hwprune.farm.board_pool import Nominal
from hwprune.farm.farm import Farm
from hwprune.farm.status import AWAY
from hwprune.farm.store import ReadingStore
from hwprune.farm.table_farm import TableFarm
from hwprune.futures import joined

Outcomes = Mapping[str, Outcome]
"""What came of one candidate, by kind of board."""


class Fleet:
    """Farms by kind, in the order in which the boards are given.

    Any number of threads may ask.
    """

    def __init__(self, farms: Mapping[str, Farm | TableFarm]) -> None:
        self.farms = dict(farms)

    @classmethod
    def of_boards(
        cls,
        boards: Sequence[Board],
        store: ReadingStore,
        *,
        nominal: Nominal = "typical",
        what: str = "",
    ) -> Fleet:
        """A fleet whose farms are these boards, in their order."""
        kinds: dict[str, list[Board]] = {}
        for board in boards:
            kinds.setdefault(board.kind, []).append(board)
        farms: dict[str, Farm | TableFarm] = {}
        for kind, alike in kinds.items():
            tables = [board for board in alike if board.connection == "table"]
            if tables and len(alike) > 1:
                raise BoardError(
                    f"of kind {kind} there is a latency table beside other boards",
                    given=", ".join(board.name for board in alike),
                    next_step="name the table alone, or the boards",
                )
            farms[kind] = (
                TableFarm(alike[0]) if tables else Farm(alike, store, nominal=nominal, what=what)
            )
        return cls(farms)

    @property
    def boards(self) -> int:
        """How many measure different candidates at a time: every kind measures each of them."""
        return min(farm.boards for farm in self.farms.values())

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
        asked = [farm.measure(candidates) for farm in self.farms.values()]
        return [
            joined(futures, lambda *found: dict(zip(self.farms, found, strict=True)))
            for futures in zip(*asked, strict=True)
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

    def away(self) -> str:
        """Which boards nobody can measure on at the moment, and why; empty where every kind has
        one that does."""
        kinds = [farm.status().boards for farm in self.farms.values()]
        away = [b for boards in kinds if all(b.state in AWAY for b in boards) for b in boards]
        return "; ".join(f"board {b.name} is {b.state}: {b.message}".rstrip(": ") for b in away)

    def close(self) -> None:
        """End boards and threads."""
        for farm in self.farms.values():
            farm.close()

    def _each(self, do: Callable[[Farm | TableFarm], None]) -> None:
        with ThreadPoolExecutor(len(self.farms)) as pool:
            # list: errors of a map come when its results are taken.
            list(pool.map(do, self.farms.values()))
