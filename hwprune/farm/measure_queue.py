"""Candidates that wait for a board: asked for once each, handed out in batches."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from hwprune.candidate import Candidate
from hwprune.farm.answers import Outcome
from hwprune.farm.reading_key import ReadingKey
from hwprune_device.reading import Failure

_GATHER_S = 0.02
"""How long a batch that is not full waits for more: callers hand candidates over in bursts."""
TRIES = 2
"""A reading with doubts is taken this often before it is passed on, doubts and all."""
_LEAST = 4
"""A burst is divided among free boards, but not so finely that the base network costs most."""


@dataclass(slots=True, kw_only=True)
class Request:
    """One architecture to measure, and everybody who waits for it."""

    key: ReadingKey
    candidate: Candidate
    futures: list[Future[Outcome]] = field(default_factory=list)
    tries: int = 0
    """How often it was measured without a reading that can be trusted."""
    losses: int = 0
    """How often a board went away with it, without a word on who was at work."""
    alone: bool = False
    """Nobody shall share a batch with it: it may have taken a board down, or wants a process of
    its own."""
    name: str = ""
    """What it is known by while it is open: its architecture, unless it is to be fresh."""


class MeasureQueue:
    """Requests in order of arrival. An architecture waits or is on a board once, never twice."""

    def __init__(self) -> None:
        self._waiting: deque[Request] = deque()
        self._open: dict[str, Request] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._closed_for = ""
        self._takers = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def on_boards(self) -> int:
        """How many are being measured."""
        return len(self._open) - len(self._waiting)

    def join(
        self, key: ReadingKey, candidate: Candidate, *, fresh: bool = False
    ) -> Future[Outcome]:
        """Wait for an architecture, with others who asked before if there are any.

        `fresh`: with nobody, for one reading of its own, doubts or not.
        """
        future: Future[Outcome] = Future()
        name = uuid.uuid4().hex if fresh else key.architecture
        with self._changed:
            if self._closed:
                future.set_result(Failure(stage="lost", message=self._closed_for))
                return future
            request = self._open.get(name)
            if request is None:
                request = Request(key=key, candidate=candidate, name=name, alone=fresh)
                # A fresh one is passed on as it was read: how far readings lie apart is asked.
                request.tries = TRIES - 1 if fresh else 0
                self._open[name] = request
                self._waiting.append(request)
                self._changed.notify_all()
            request.futures.append(future)
        return future

    def put_back(self, requests: Sequence[Request]) -> None:
        """Wait again, before all others."""
        with self._changed:
            # extendleft turns the order round.
            self._waiting.extendleft(reversed(requests))
            self._changed.notify_all()

    def take(self, limit: int, boards: int = 1) -> list[Request]:
        """The next batch, of `limit` requests at most; empty once the queue is closed.

        Several boards that are free at the same time get a fair share each. Where so many
        `boards` work, none takes more than its share of all that is open: those that are about
        to be free would find nothing left, and the batch before a pause would last for long.
        """
        with self._changed:
            self._takers += 1
            try:
                while not self._closed:
                    self._changed.wait_for(lambda: self._waiting or self._closed)
                    self._gather(limit)
                    share = min(
                        -(-len(self._waiting) // self._takers), -(-len(self._open) // boards)
                    )
                    # Another board may have emptied the queue meanwhile: then wait again.
                    if batch := self._next(min(limit, max(share, _LEAST))):
                        return batch
                return []
            finally:
                self._takers -= 1

    def _gather(self, limit: int) -> None:
        """Give a burst the time to arrive whole."""
        due = time.monotonic() + _GATHER_S
        # As much as all who wait could take, or what comes within the time.
        while len(self._waiting) < limit * self._takers and not self._closed:
            if not self._changed.wait(max(0.0, due - time.monotonic())):
                break

    def _next(self, limit: int) -> list[Request]:
        batch: list[Request] = []
        while not self._closed and self._waiting and len(batch) < limit:
            if batch and (batch[0].alone or self._waiting[0].alone):
                break
            batch.append(self._waiting.popleft())
        return batch

    def answer(self, request: Request, outcome: Outcome) -> None:
        """Give everybody who waits for a request its outcome; a second answer is ignored."""
        with self._changed:
            if self._open.pop(request.name, None) is None:
                return
            futures = list(request.futures)
        # Outside the lock: a future's callbacks may ask for more.
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_result(outcome)

    def empty(self) -> list[Request]:
        """Take out all that wait, for somebody who will answer them."""
        with self._changed:
            requests = list(self._waiting)
            self._waiting.clear()
            return requests

    def close(self, why: str) -> list[Request]:
        """Let nobody in or out any more; the requests that are still open."""
        with self._changed:
            self._closed, self._closed_for = True, self._closed_for or why
            self._waiting.clear()
            self._changed.notify_all()
            # Also those on boards, whose answers would come too late.
            return list(self._open.values())


def lost(request: Request, message: str) -> Failure:
    """What is told to those who wait for a reading that will not come."""
    return Failure(stage="lost", message=message, architecture=request.key.architecture)
