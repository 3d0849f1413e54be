"""What others take of a core is told apart from what a batch takes itself."""

from __future__ import annotations

import os
import time

from hwprune_device.conditions.disturbance import core_times, disturbance
from hwprune_device.conditions.sysfs import UNAVAILABLE

CORES = tuple(sorted(os.sched_getaffinity(0)))[-1:]


def test_work_of_others_on_a_core_is_seen_and_own_work_is_not():
    before = core_times(CORES)
    start = time.process_time()
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    try:
        while time.process_time() - start < 0.3:
            pass
    finally:
        os.sched_setaffinity(0, affinity)
    after = core_times(CORES)
    used = time.process_time() - start
    whole = disturbance(before, after, 0.0, 1)["other_cpu_share"]
    rest = disturbance(before, after, used, 1)["other_cpu_share"]
    assert whole - rest > 0.2
    assert disturbance(None, after, 0.0, 1)["other_cpu_share"] == UNAVAILABLE
