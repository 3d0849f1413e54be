"""Quiet: while a board times, what else hwprune computes on the same machine rests.

Readings are ratios to the unpruned network's time, but a busy neighbour core slows a large network
more than a small one: on two cores that share a cache, ResNet-56 at half of its own time read 2 %
too fast while the other core scored (tests/benchmarks/bench_quiet.py).
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path

PATIENCE_S = 2.0
"""A board waits no longer for work under way; one piece of it takes a fraction of a second."""
_POLL_S = 0.005


@contextmanager
def timing() -> Iterator[None]:
    """Others on this machine rest meanwhile; what is under way is waited for."""
    with ExitStack() as held:
        _lock(_file(held, "timing"), fcntl.LOCK_SH)
        with ExitStack() as asking:
            work, until = _file(asking, "work"), time.monotonic() + PATIENCE_S
            while not _try(work) and time.monotonic() < until:
                time.sleep(_POLL_S)
        yield


@contextmanager
def working() -> Iterator[None]:
    """One short piece of work, begun when no board on this machine times."""
    with ExitStack() as held:
        work, timing_now = _file(held, "work"), _file(held, "timing")
        while True:
            _lock(work, fcntl.LOCK_SH)
            if _try(timing_now):
                _lock(timing_now, fcntl.LOCK_UN)
                break
            _lock(work, fcntl.LOCK_UN)
            time.sleep(_POLL_S)
        yield


def _file(held: ExitStack, name: str) -> TextIOWrapper:
    folder = Path(tempfile.gettempdir()) / f"hwprune-leases-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return held.enter_context((folder / f"{name}.lock").open("w"))


def _lock(file: TextIOWrapper, how: int) -> None:
    fcntl.flock(file.fileno(), how)


def _try(file: TextIOWrapper) -> bool:
    """Lock against everybody else, unless somebody holds it."""
    try:
        _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
