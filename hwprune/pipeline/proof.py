"""What has to be read of a network before its board is said to be too slow for a budget."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from hwprune.candidate import Candidate
from hwprune.farm.farm import Farm
from hwprune.farm.table_farm import TableFarm
from hwprune_device.reading import Reading

READINGS = 5
CALM_WITHIN_S = 60.0
"""Readings that are all doubted go on for so long: other work on a machine comes and goes."""
PAUSE_S = 5.0


def least_reading(
    farm: Farm | TableFarm, candidate: Candidate, first: Reading, keeps: Callable[[Reading], bool]
) -> Reading:
    """The shortest of several readings; the first that `keeps` the budget ends them."""
    least, calm, began = first, not first.doubts, time.monotonic()
    for count in itertools.count(1):
        ended = calm or time.monotonic() - began > CALM_WITHIN_S
        if keeps(least) or (count >= READINGS and ended):
            break
        if count >= READINGS:
            time.sleep(PAUSE_S)
        (one,) = farm.remeasure(candidate, 1)
        if isinstance(one, Reading):
            least = min(least, one, key=lambda reading: reading.latency_ms)
            calm = calm or not one.doubts
    return least
