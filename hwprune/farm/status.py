"""The status of a farm: what its boards do right now, written down for whoever wants to look.

A farm writes its status to a file of its own in the user's cache folder while it runs, so that
looking needs neither a port nor a word with the farm.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from hwprune.plain_text import plain_text
from hwprune.stored import as_noun, plain_json
from hwprune.user_cache import user_cache
from hwprune.whole_file import write_whole

BoardState = Literal[
    "starting", "idle", "busy", "lost", "quarantined", "unlike its kind", "not believed", "closed"
]
RETIRED: tuple[BoardState, ...] = ("unlike its kind", "not believed")
"""States of boards that a farm works with no more."""
AWAY: tuple[BoardState, ...] = ("lost", "quarantined", *RETIRED)
"""States of boards that measure nothing that is asked for."""
FRESH_S = 15.0
"""A running farm writes at least this often."""
FORGOTTEN_AFTER_S = 7 * 86400.0
"""A farm that has not written for so long is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardStatus:
    """One board at a moment."""

    name: str
    kind: str
    state: BoardState
    message: str = ""
    """Why it is lost or quarantined, and what is being done about it."""
    job: str = ""
    """What it measures: candidates, and seconds so far; empty when it measures nothing."""
    temperature_c: float | None = None
    canary_off_pct: float | None = None
    """The known network that was read last: off what is known of it, in per cent."""
    canary_at: float | None = None
    """When that was, in seconds since the epoch."""
    readings: int = 0
    failures: int = 0
    readings_per_hour: float | None = None
    """Over the board's last hour at most; None before its first batch."""
    busy_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KindStatus:
    """The boards of one kind and the queue they share."""

    kind: str
    queue: int
    """Candidates that wait for a board."""
    on_boards: int
    """Candidates that are on a board."""
    cache_hits: int
    """Candidates that the store answered, of all that were asked for."""
    asked: int
    poisoned: int
    """Architectures that are never sent again because they killed boards."""
    eta_device_minutes: float | None
    """Minutes of board time that the queue still needs; None before the first batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FarmStatus:
    """A farm at a moment."""

    farm: str
    """A name that is unique on this machine."""
    pid: int
    what: str
    """What the farm works for, such as the run folder."""
    started_at: float
    """Seconds since the epoch, as all times here."""
    written_at: float
    boards: tuple[BoardStatus, ...] = ()
    kinds: tuple[KindStatus, ...] = ()
    warnings: tuple[str, ...] = ()
    closed: bool = False

    @property
    def alive(self) -> bool:
        """Whether its process is there and has written lately."""
        # Time too: the process may hang, and its number may be another's by now.
        return (
            not self.closed
            and time.time() - self.written_at < FRESH_S
            and Path(f"/proc/{self.pid}").exists()
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"alive": self.alive}


def status_folder() -> Path:
    """Where the farms of this user on this machine write."""
    return user_cache() / "farms"


def write_status(status: FarmStatus) -> None:
    """Replace the farm's file; a reader never sees half of it."""
    folder = status_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # Halves of surrogate pairs, in the name of a file for example, cannot be written.
    text = plain_text(json.dumps(status.to_json(), ensure_ascii=False))
    # Not durable: it is replaced in a second, and a sync would wait for the disk.
    write_whole(folder / f"{status.farm}.json", text, durable=False)


def read_statuses() -> list[FarmStatus]:
    """All farms that are known here, the youngest first."""
    found = [status for path in status_folder().glob("*.json") if (status := _read(path))]
    return sorted(found, key=lambda status: -status.started_at)


def forget_long_gone() -> None:
    """Delete the files of farms that ended a week ago, and what nobody can read any more."""
    before = time.time() - FORGOTTEN_AFTER_S
    folder = status_folder()
    for path in folder.iterdir() if folder.is_dir() else ():
        status = _read(path)
        with contextlib.suppress(OSError):
            if (status.written_at if status else path.stat().st_mtime) < before:
                path.unlink()


class FarmView:
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


def _read(path: Path) -> FarmStatus | None:
    """A farm's file; None when it is gone by now or is no such file."""
    try:
        return as_noun(FarmStatus, plain_json(path.read_bytes()))
    except (OSError, ValueError):
        return None
