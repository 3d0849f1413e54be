"""Quiet: while a board times, what else hwprune computes on the same machine rests.

Readings are ratios to the unpruned network's time, but a busy neighbour core slows a large network
more than a small one: on two cores that share a cache, ResNet-56 at half of its own time read 2 %
too fast while the other core scored (tests/benchmarks/bench_quiet.py).
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from hwprune_device.lock_file import NoLockFolderError, opened, try_alone

PATIENCE_S = 2.0
"""A board waits no longer for work under way; one piece of it takes a fraction of a second."""
_POLL_S = 0.005


@contextmanager
def timing() -> Iterator[None]:
    """Others on this machine rest meanwhile; what is under way is waited for.

    Raises:
        NoLockFolderError: there is no place for the lock files.
    """
    with ExitStack() as held:
        # Shared: boards that time do not wait for one another here, leases see to that.
        fcntl.flock(opened(held, "timing"), fcntl.LOCK_SH)
        with ExitStack() as asking:
            work, until = opened(asking, "work"), time.monotonic() + PATIENCE_S
            while not try_alone(work) and time.monotonic() < until:
                time.sleep(_POLL_S)
        yield


@contextmanager
def working() -> Iterator[None]:
    """One short piece of work, begun when no board on this machine times."""
    with ExitStack() as held:
        # Where no lock can be kept, no board of this account times either.
        with suppress(NoLockFolderError):
            _await_quiet(held)
        yield


def _await_quiet(held: ExitStack) -> None:
    work, timing_now = opened(held, "work"), opened(held, "timing")
    while True:
        fcntl.flock(work, fcntl.LOCK_SH)
        # "work" is held while this is asked, so that a board that begins now waits for the piece.
        if try_alone(timing_now):
            fcntl.flock(timing_now, fcntl.LOCK_UN)
            return
        fcntl.flock(work, fcntl.LOCK_UN)
        time.sleep(_POLL_S)
