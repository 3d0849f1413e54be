"""How long-running work says where it stands; the command line draws it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A listener for stages of work. Calls may come from any thread."""

    def begin(self, stage: str, total: int | None) -> None:
        """A stage starts; `total` is its number of steps, None when unknown."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Steps of the current stage are done; `note` says what is worth seeing now."""

    def end(self, note: str = "") -> None:
        """The stage is over; `note` says what came out of it."""


class Silent:
    """Listens and shows nothing."""

    def begin(self, stage: str, total: int | None) -> None:
        """Nothing is shown."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Nothing is shown."""

    def end(self, note: str = "") -> None:
        """Nothing is shown."""
