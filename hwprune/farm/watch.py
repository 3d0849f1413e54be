"""Which farms to show to somebody who looks for a while."""

from __future__ import annotations

from hwprune.farm.status import FarmStatus, read_statuses


class Watch:
    """Farms that run, and those that ended while they were watched.

    Args:
        farm: the only one to show; empty for all.
        gone: show those that ended before too.
    """

    def __init__(self, farm: str = "", *, gone: bool = False) -> None:
        self._farm = farm
        self._gone = gone
        self._seen: set[str] = set()

    def look(self) -> list[FarmStatus]:
        """What there is to show now: farms that run before others, younger before older."""
        known = [s for s in read_statuses() if self._farm in ("", s.farm)]
        # A farm that ends before somebody's eyes must not vanish without a word.
        self._seen.update(s.farm for s in known if s.alive)
        shown = [s for s in known if self._gone or s.farm in self._seen]
        return sorted(shown, key=lambda status: not status.alive)
