"""The gate before a batch: wait until the board is cool enough and runs at full speed.

A batch that starts on a hot board is timed while the board slows down, and all of it is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwprune_device.conditions.sysfs import ROOT
from hwprune_device.conditions.thermal import tightest, zones
from hwprune_device.conditions.throttling import throttling

MARGIN_C = 5.0
"""Degrees below its trip point that every zone should be."""
POLL_S = 1.0

OnWait = Callable[[float, str], None]
"""on_wait(seconds waited so far, why)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What the gate waited for."""

    seconds: float = 0.0
    text: str = ""
    """Why, as it was at first; empty when there was no need."""
    given_up: bool = False
    """Whether the board was still not ready at the end."""

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "waited_s": round(self.seconds, 1),
            "for": self.text or "nothing",
            "given_up": self.given_up,
        }


def obstacle(cores: Sequence[int], root: Path = ROOT) -> str:
    """Return why a batch should not start now; an empty text when it may."""
    zone = tightest(zones(root))
    if zone is not None and (left := zone.below_trip_c) is not None and left < MARGIN_C:
        return f"{zone.text}; {MARGIN_C:g} °C below it are wanted"
    return "; ".join(throttling(cores, root).slowing)


def wait(
    look: Callable[[], str],
    limit_s: float,
    on_wait: OnWait | None = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Waited:
    """Wait until `look` finds no obstacle, for `limit_s` seconds at most; 0 never waits.

    `on_wait` is called after every look that found one.
    """
    start = clock()
    first = ""
    while limit_s > 0 and (text := look()):
        first = first or text
        waited = clock() - start
        if waited >= limit_s:
            return Waited(seconds=waited, text=first, given_up=True)
        if on_wait is not None:
            on_wait(waited, text)
        sleep(min(POLL_S, limit_s - waited))
    return Waited(seconds=clock() - start if first else 0.0, text=first)
