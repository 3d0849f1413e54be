"""The record of one board: what it does now, and what it has done, for whoever asks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hwprune.farm.answers import Outcome
from hwprune.farm.canaries import CanaryWatch
from hwprune.farm.status import BoardState, BoardStatus
from hwprune_device.reading import Failure, Reading

_HOUR_S = 3600.0


class BoardRecord:
    """Written by the board's worker, read by anybody."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.state: BoardState = "starting"
        self.message = ""
        self.watch = CanaryWatch()
        self._pool = kind
        self._job: tuple[int, float] | None = None
        self._temperature_c: float | None = None
        self._done: deque[tuple[float, int]] = deque()
        self._readings = self._failures = 0
        self._born = time.monotonic()
        self._busy_s = 0.0

    def to(self, state: BoardState, message: str = "") -> None:
        """Change the state; `message` says why."""
        self.state, self.message = state, message

    @contextmanager
    def job(self, networks: int) -> Iterator[None]:
        """Around a batch: busy, then idle."""
        # A calibration has no candidates; the base alone is one network.
        self._job = (max(1, networks), time.monotonic())
        self.to("busy")
        try:
            yield
        finally:
            self._job = None
            self.to("idle")

    def note(self, outcomes: Sequence[Outcome], busy_s: float) -> None:
        """Count what a batch gave."""
        readings = [outcome for outcome in outcomes if isinstance(outcome, Reading)]
        self._readings += len(readings)
        self._failures += sum(isinstance(o, Failure) and o.stage != "lost" for o in outcomes)
        now = time.monotonic()
        self._done.append((now, len(readings)))
        while now - self._done[0][0] > _HOUR_S:
            self._done.popleft()
        self._busy_s += busy_s
        for reading in readings[-1:]:
            degrees = reading.conditions.get("after", {}).get("temperature_c")
            self._temperature_c = degrees if isinstance(degrees, int | float) else None

    def status(self) -> BoardStatus:
        """What the board does at this moment."""
        now = time.monotonic()
        age_s = now - self._born
        # A copy at once: the worker may add a batch while this goes through them.
        lately = [count for at, count in self._done.copy() if now - at <= _HOUR_S]
        return BoardStatus(
            name=self.name,
            kind=self._pool,
            state=self.state,
            message=self.message,
            job=f"{self._job[0]} candidates, {now - self._job[1]:.0f} s" if self._job else "",
            temperature_c=self._temperature_c,
            canary_off_pct=self.watch.off_pct,
            canary_at=self.watch.read_at,
            readings=self._readings,
            failures=self._failures,
            # A board that is younger than an hour has its rate so far.
            readings_per_hour=sum(lately) / min(1.0, age_s / _HOUR_S) if lately else None,
            busy_share=self._busy_s / age_s if lately else None,
        )
