"""Recovery: a board that was lost is tried again and again, until it answers or is given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat

from hwprune.errors import BoardError
from hwprune.farm.board_pool import BoardPool
from hwprune.farm.board_record import BoardRecord
from hwprune.farm.hello import refuse_emulated
from hwprune.farm.measure_queue import Request
from hwprune.farm.session import BoardSession
from hwprune.farm.status import BoardState
from hwprune_device.owner import Previous

PATIENCE_S = 1800.0
"""When no board of a kind answers for this long, those who wait get a failure."""
_PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Between attempts to reach a board; the last one again and again."""
_NONSENSE = 3
"""A board that said what cannot be in this many batches is not believed again by this farm."""
HOLD_S = 60.0
"""A network that may have taken a board down waits this long for the verdict."""


class Recovery:
    """Brings one board back.

    Args:
        closed: set when the farm closes, which ends every attempt.
        patience_s: how long candidates wait while no board of the kind answers.
    """

    def __init__(
        self,
        session: BoardSession,
        pool: BoardPool,
        record: BoardRecord,
        closed: threading.Event,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._session = session
        self._pool = pool
        self._record = record
        self._closed = closed
        self._patience_s = patience_s
        self._previous: Previous = "none"
        self.nonsense = 0
        """Batches in which the board said what cannot be."""

    def reach(self) -> str:
        """Try once to start the board; its conditions key.

        Raises:
            BoardError: it does not answer, or must not be timed.
        """
        try:
            hello = self._session.open()
            refuse_emulated(self._session.board, hello)
            key = self._session.conditions_key
        except BoardError as error:
            self._record.to("lost", error.one_line)
            raise
        self._previous = hello.previous
        self._record.to("idle")
        return key

    def wait(self, suspects: Suspects | None = None) -> bool:
        """Try to reach the board until it answers; False when it will not be worked with again."""
        suspects = suspects or Suspects(pool=self._pool, board=self._record.name)
        if self.nonsense >= _NONSENSE:
            # Before the board goes: where it is the last, all that is open is failed.
            suspects.let_go()
            message = f"its answers make no sense: {self._record.message}"
            return self._retire("not believed", message)
        self._record.to("lost", self._record.message)
        self._pool.answers(self._record.name, False)
        for _ in self.attempts():
            try:
                key = self.reach()
            except BoardError:
                suspects.still_away()
                self.give_up_waiting()
                continue
            if key != self._pool.conditions_key:
                suspects.let_go()
                message = "it came back with other hardware, clocks or runtime"
                return self._retire("unlike its kind", message)
            suspects.judge(self._previous)
            self._record.to("idle")
            self._pool.answers(self._record.name, True)
            return True
        suspects.let_go()
        return False

    def _retire(self, state: BoardState, message: str) -> bool:
        """Work with the board no more, which is said by False."""
        self._session.close()
        self._record.to(state, message)
        self._pool.retire(self._record.name, message)
        return False

    def attempts(self) -> Iterator[None]:
        """Moments to try again, further and further apart, until the farm closes."""
        for pause_s in chain(_PAUSES_S, repeat(_PAUSES_S[-1])):
            if self._closed.wait(pause_s):
                return
            yield

    def give_up_waiting(self) -> None:
        """Fail what waits when no board of this kind has answered for too long."""
        if self._pool.deserted_s() > self._patience_s:
            message = f"no board of kind '{self._pool.name}' answers: {self._record.message}"
            self._pool.fail(self._pool.queue.empty(), message)


@dataclass(slots=True, kw_only=True)
class Suspects:
    """The suspects of one loss. Whoever is let go waits for a board again, before all others.

    A supervisor that died, or a machine that started anew, counts against them; a link that was
    cut does not. One alone gets a strike; of several, each is measured alone from then on.
    """

    pool: BoardPool
    board: str
    held: list[Request] = field(default_factory=list)
    _strikes: list[str] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)

    def still_away(self) -> None:
        """The board does not answer: after a while that counts against them, for now."""
        if time.monotonic() - self._since > HOLD_S:
            self._strike("silent since")

    def judge(self, previous: Previous) -> None:
        """The board is back and has said how its last supervisor ended."""
        if previous in ("died", "rebooted"):
            self._strike(previous)
        else:
            # Given while the board was silent, whose link alone was cut.
            for strike in self._strikes:
                self.pool.store.acquit(strike)
            self.let_go()

    def let_go(self) -> None:
        """Nothing was found against those that are still held."""
        self.pool.queue.put_back(self.held)
        self.held = []

    def _strike(self, verdict: str) -> None:
        for request in self.held:
            # Of several nobody knows which it was.
            if len(self.held) == 1:
                self._strikes.append(self.pool.store.strike(request.key, self.board, verdict))
            request.alone = True
        # None is held any more, so a later verdict on this loss strikes nobody twice.
        self.let_go()
