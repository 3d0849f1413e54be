"""How long-running work says where it stands; the command line draws it."""

from __future__ import annotations

import threading
from typing import Protocol


class Progress(Protocol):
    """A listener for stages of work. Calls may come from any thread."""

    def begin(self, stage: str, total: int | None) -> None:
        """A stage starts; `total` is its number of steps, None when unknown."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Steps of the current stage are done; `note` says what is worth seeing now."""

    def skip(self, count: int, note: str = "") -> None:
        """Steps were done before, or came from memory: the time left does not follow from them."""

    def end(self, note: str = "") -> None:
        """The stage is over; `note` says what came out of it."""


class Silent:
    """Listens and shows nothing."""

    def begin(self, stage: str, total: int | None) -> None:
        """Nothing is shown."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Nothing is shown."""

    def skip(self, count: int, note: str = "") -> None:
        """Nothing is shown."""

    def end(self, note: str = "") -> None:
        """Nothing is shown."""


class SideBySide:
    """Several pieces of work under one heading: their steps add up, their notes carry names."""

    def __init__(self, progress: Progress, stage: str, count: int) -> None:
        self._progress = progress
        self._stage = stage
        self._waiting = count
        self._total: int | None = 0
        self._early = self._known = 0
        self._lock = threading.Lock()

    def named(self, name: str) -> Progress:
        """The listener for one of them."""
        return _Named(self, name)

    def begun(self, total: int | None) -> None:
        """One of them knows how many steps it has; when all do, the stage begins."""
        with self._lock:
            self._waiting -= 1
            known = self._total is not None and total is not None
            self._total = (self._total or 0) + (total or 0) if known else None
            if self._waiting == 0:
                self._progress.begin(self._stage, self._total)
                self._progress.skip(self._known)
                self._progress.advance(self._early)

    def advanced(self, count: int, note: str) -> None:
        """Steps of one of them are done."""
        with self._lock:
            if self._waiting > 0:
                self._early += count
                return
        self._progress.advance(count, note)

    def skipped(self, count: int, note: str) -> None:
        """Steps of one of them were done before."""
        with self._lock:
            if self._waiting > 0:
                self._known += count
                return
        self._progress.skip(count, note)


class _Named:
    """One piece of work's own listener."""

    def __init__(self, together: SideBySide, name: str) -> None:
        self._together = together
        self._name = name

    def begin(self, stage: str, total: int | None) -> None:
        """It starts."""
        self._together.begun(total)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Steps are done."""
        self._together.advanced(count, f"{self._name}: {note}" if note else "")

    def skip(self, count: int, note: str = "") -> None:
        """Steps were done before."""
        self._together.skipped(count, f"{self._name}: {note}" if note else "")

    def end(self, note: str = "") -> None:
        """It is over; the stage goes on with the others."""
