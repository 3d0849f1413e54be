"""Memory of a network as torch's own allocators count it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import torch

_MEMORY = "[memory]"
"""What torch's profiler calls an allocation (positive) and a release (negative)."""


def cpu_peak_bytes(run: Callable[[], Any]) -> int | None:
    """Most that one run held at a time beyond what was there before; None if unrecorded."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        run()
    results = profile.profiler.kineto_results if profile.profiler else None
    if results is None:
        return None
    events = [event for event in results.events() if event.name() == _MEMORY]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak if events else None


def cuda_peak_bytes(run: Callable[[], Any]) -> int:
    """Most that one run held at a time on the GPU beyond what was there before."""
    torch.cuda.synchronize()
    # The high-water mark is of the whole process: an earlier network may have set it.
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def release_cached() -> None:
    """Give back what no tensor uses, so that what one network takes is not counted for another."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
