"""The timetable: where the boards' seconds went."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

STAGES = ("cut", "build", "warm", "time")


class Entry:
    """One job on a board."""

    def __init__(self) -> None:
        self.timings: Mapping[str, float] = {}

    def take(self, timings: Mapping[str, float]) -> None:
        """What the board says of its own seconds."""
        self.timings = timings


class Timetable:
    """Adds up jobs of all boards; safe to use from several threads."""

    def __init__(self, boards: int) -> None:
        self._boards = boards
        self._lock = threading.Lock()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._candidates = 0
        self._first: float | None = None
        self._last = 0.0

    @contextmanager
    def job(self, candidates: int) -> Iterator[Entry]:
        """Around a job: from handing it over to having its outcomes."""
        entry, start = Entry(), time.monotonic()
        with self._lock:
            self._first = start if self._first is None else self._first
        yield entry
        end = time.monotonic()
        busy = entry.timings.get("wall_s", 0.0)
        with self._lock:
            self._last = max(self._last, end)
            self._candidates += candidates
            for stage in STAGES:
                self._seconds[stage] += entry.timings.get(f"{stage}_s", 0.0)
            self._seconds["busy"] += busy
            # What the board's own account leaves over is the way there and back.
            self._seconds["send"] += end - start - busy

    def seconds_each(self) -> float | None:
        """Seconds of board time a candidate has taken; None before the first."""
        with self._lock:
            return self._seconds["busy"] / self._candidates if self._candidates else None

    def summary(self) -> dict[str, float]:
        """Seconds by stage, idle seconds and the busy share from the first job to the last."""
        with self._lock:
            span = (self._last - self._first) * self._boards if self._first is not None else 0.0
            busy = self._seconds["busy"]
            return {
                **{stage: self._seconds[stage] for stage in ("send", *STAGES)},
                "busy": busy,
                "idle": max(0.0, span - busy),
                "busy_share": busy / span if span > 0 else 0.0,
                "candidates": self._candidates,
            }
