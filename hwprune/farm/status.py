"""The status of a farm: what its boards do right now, written down for whoever wants to look.

A farm writes its status to a file of its own in the user's cache folder while it runs, so that
looking needs neither a port nor a word with the farm.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from hwprune.run_folder import write_json
from hwprune.user_cache import user_cache

BoardState = Literal[
    "starting", "idle", "busy", "lost", "quarantined", "unlike its kind", "closed"
]
FRESH_S = 15.0
"""A running farm writes at least this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardStatus:
    """One board at a moment."""

    name: str
    kind: str
    state: BoardState
    words: str = ""
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
        return (
            not self.closed
            and time.time() - self.written_at < FRESH_S
            and Path(f"/proc/{self.pid}").exists()
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"alive": self.alive}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FarmStatus:
        """The inverse of `to_json`."""
        fields = {key: value for key, value in data.items() if key != "alive"}
        fields["boards"] = tuple(BoardStatus(**board) for board in fields["boards"])
        fields["kinds"] = tuple(KindStatus(**kind) for kind in fields["kinds"])
        fields["warnings"] = tuple(fields["warnings"])
        return cls(**fields)


def status_folder() -> Path:
    """Where the farms of this user on this machine write."""
    return user_cache() / "farms"


def write_status(status: FarmStatus) -> None:
    """Replace the farm's file; a reader never sees half of it."""
    folder = status_folder()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{status.farm}.json", status.to_json())


def read_statuses() -> list[FarmStatus]:
    """All farms that are known here, the youngest first; those long gone are forgotten."""
    found = []
    for path in status_folder().glob("*.json"):
        try:
            found.append(FarmStatus.from_json(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return sorted(found, key=lambda status: -status.started_at)
