"""A lease on cores and GPU: an account's supervisors on the same ones take turns, by batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from hwprune_device.lock_file import opened, try_alone

_POLL_S = 0.05
_TELL_S = 5.0


@contextmanager
def lease(
    cores: Sequence[int], waiting: Callable[[float], None], *, gpu: bool = False
) -> Iterator[float]:
    """Hold the cores for a batch, and the GPU; yields the seconds that were waited.

    One lock file for each, always taken in the same order so that two holders cannot block each
    other for ever. The kernel frees a lock when its holder dies. `waiting` is called every few
    seconds with the seconds waited so far, so that the head knows the board is alive.

    Raises:
        NoLockFolderError: there is no place for the lock files.
    """
    start = time.monotonic()
    with ExitStack() as held:
        for name in [*(f"core-{core}" for core in sorted(set(cores))), *(["gpu"] if gpu else [])]:
            file, told = opened(held, name), start
            # Polled, because flock with a timeout would need a signal.
            while not try_alone(file):
                time.sleep(_POLL_S)
                if time.monotonic() - told > _TELL_S:
                    told = time.monotonic()
                    waiting(told - start)
        yield time.monotonic() - start
