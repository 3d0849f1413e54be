"""Which cores this process works on, and with how many threads."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Iterator

from threadpoolctl import threadpool_limits


def keep_to(cores: Collection[int]) -> None:
    """Move every thread of this process to these cores.

    Raises:
        OSError: the system does not allow these cores.
    """
    os.sched_setaffinity(0, cores)
    # That moved the calling thread alone. BLAS and torch made theirs when they were imported, and
    # would go on working on cores that are being timed.
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), cores)


@contextlib.contextmanager
def kept_to(cores: Collection[int]) -> Iterator[None]:
    """Within it this process has these cores, and BLAS and torch one thread for each."""
    before = os.sched_getaffinity(0)
    # More threads than cores wait for each other in loops.
    with threadpool_limits(len(cores)), _torch_threads(len(cores)):
        keep_to(cores)
        try:
            yield
        finally:
            keep_to(before)


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    # It sizes its own pool by the cores there are when it is imported, if that is later.
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, count))
    try:
        yield
    finally:
        torch.set_num_threads(before)
