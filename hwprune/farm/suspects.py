"""Suspects: networks a board was working on when it went away, held until it says how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from hwprune.farm.kind import Kind
from hwprune.farm.waiting import Wish
from hwprune_device.owner import Previous

HOLD_S = 60.0
"""A network that may have taken a board down waits this long for the verdict."""


@dataclass(slots=True, kw_only=True)
class Suspects:
    """The suspects of one loss. Whoever is let go waits for a board again, before all others.

    A supervisor that died, or a machine that started anew, speaks against them; a link that was
    cut does not. One alone gets a strike; several are measured alone from then on, which tells.
    """

    kind: Kind
    board: str
    held: list[Wish] = field(default_factory=list)
    _strikes: list[str] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)

    def still_away(self) -> None:
        """The board does not answer: after a while that speaks against them, for now."""
        if time.monotonic() - self._since > HOLD_S:
            self._strike("silent since")

    def judge(self, previous: Previous) -> None:
        """The board is back and has said how its last supervisor ended."""
        if previous in ("died", "rebooted"):
            self._strike(previous)
        else:
            for strike in self._strikes:
                self.kind.store.acquit(strike)
            self.let_go()

    def let_go(self) -> None:
        """Nothing was found against those that are still held."""
        self.kind.room.put_back(self.held)
        self.held = []

    def _strike(self, verdict: str) -> None:
        for wish in self.held:
            if len(self.held) == 1:
                self._strikes.append(self.kind.store.strike(wish.key, self.board, verdict))
            wish.alone = True
        self.let_go()
