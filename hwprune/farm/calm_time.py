"""The calm time: what the unpruned network takes on one board while nothing disturbs it."""

from __future__ import annotations

from hwprune.farm.calibration import AGREE
from hwprune_device.estimate import OFF_CALM

_SLOWER = 4
"""Batches in a row without a calm moment, after which the board is as slow as it is: it is hot, or
had a faster core lent for a while when it was calibrated. By judgement: a batch alone waits up to
ten seconds for a calm moment."""


class CalmTime:
    """Follows a board that was calibrated while it was slower, or faster, than it mostly is."""

    def __init__(self, ms: float) -> None:
        self.ms = ms
        self._slower: list[float] = []
        """How far each of the last batches was off, where none was calm."""

    def seen(self, base_off: float, *, alone: bool) -> bool:
        """Take in how far a batch's base was off, as a fraction; whether that moved the time.

        Args:
            alone: no other board of the kind answers. Where others do, a board that got slower is
                not believed.
        """
        if base_off <= OFF_CALM:
            self._slower.clear()
            # Calibrations lie that far apart on a calm board, too.
            if base_off >= -AGREE:
                return False
            self.ms *= 1 + base_off
            return True
        self._slower.append(base_off)
        if len(self._slower) < _SLOWER or not alone:
            return False
        self.ms *= 1 + min(self._slower[-_SLOWER:])
        self._slower.clear()
        return True
