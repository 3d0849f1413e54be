"""Candidates that wait for a board: asked for once each, handed out in batches."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from hwprune.candidate import Candidate
from hwprune.farm.session import Outcome
from hwprune.farm.store import ReadingKey

_GATHER_S = 0.02
"""How long a batch that is not full waits for more: callers hand candidates over in bursts."""


@dataclass(slots=True, kw_only=True)
class Wish:
    """One architecture to measure, and everybody who waits for it."""

    key: ReadingKey
    candidate: Candidate
    futures: list[Future[Outcome]] = field(default_factory=list)


class WaitingRoom:
    """Wishes in order of arrival. An architecture is in here or on a board once, never twice."""

    def __init__(self) -> None:
        self._queue: deque[Wish] = deque()
        self._open: dict[str, Wish] = {}
        self._changed = threading.Condition()
        self._closed = False

    def join(self, key: ReadingKey, candidate: Candidate) -> Future[Outcome]:
        """Wait for an architecture, with others who asked before if there are any."""
        future: Future[Outcome] = Future()
        with self._changed:
            wish = self._open.get(key.architecture)
            if wish is None:
                wish = Wish(key=key, candidate=candidate)
                self._open[key.architecture] = wish
                self._queue.append(wish)
                self._changed.notify()
            wish.futures.append(future)
        return future

    def take(self, limit: int) -> list[Wish]:
        """The next batch, of `limit` wishes at most; empty once the room is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            due = time.monotonic() + _GATHER_S
            while len(self._queue) < limit and not self._closed:
                if not self._changed.wait(max(0.0, due - time.monotonic())):
                    break
            return [] if self._closed else [self._queue.popleft() for _ in self._fitting(limit)]

    def answer(self, wish: Wish, outcome: Outcome) -> None:
        """Give everybody who waits for a wish its outcome."""
        with self._changed:
            self._open.pop(wish.key.architecture, None)
            futures = list(wish.futures)
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_result(outcome)

    def close(self) -> list[Wish]:
        """Let nobody in or out any more; the wishes that are still open."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()
            return list(self._open.values())

    def _fitting(self, limit: int) -> range:
        return range(min(limit, len(self._queue)))
