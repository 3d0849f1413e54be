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


class SharedProgress:
    """Equal pieces of work under one heading: their steps add up, their notes carry names."""

    def __init__(self, progress: Progress, stage: str, count: int) -> None:
        self.progress = progress
        self._stage = stage
        self._count = count
        self._begun = False
        self._lock = threading.Lock()

    def named(self, name: str) -> Progress:
        """The listener for one of them."""
        return _Named(self, name)

    def begun(self, total: int | None) -> None:
        """One of them knows how many steps it has; the others have as many."""
        # Pieces begin in threads of their own, and one heading is enough.
        with self._lock:
            if not self._begun:
                self._begun = True
                self.progress.begin(self._stage, None if total is None else total * self._count)


class _Named:
    """One piece of work's own listener."""

    def __init__(self, together: SharedProgress, name: str) -> None:
        self._together = together
        self._name = name

    def begin(self, stage: str, total: int | None) -> None:
        """It starts."""
        self._together.begun(total)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Steps are done."""
        self._together.progress.advance(count, f"{self._name}: {note}" if note else "")

    def skip(self, count: int, note: str = "") -> None:
        """Steps were done before."""
        self._together.progress.skip(count, f"{self._name}: {note}" if note else "")

    def end(self, note: str = "") -> None:
        """It is over; the stage goes on with the others."""
