"""While no board can measure, the progress of a run says so: else it would only stand still."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hwprune.progress import Progress

LOOK_S = 5.0
AGAIN_S = 60.0
"""What has not changed is said again after this long."""


@contextmanager
def watched_boards(
    away: Callable[[], str], progress: Progress, look_s: float = LOOK_S
) -> Iterator[None]:
    """Within it, what `away` says of boards goes to the progress.

    Args:
        away: why nothing is measured at the moment; empty while something is.
    """
    over = threading.Event()

    def watch() -> None:
        said, at = "", 0.0
        while not over.wait(look_s):
            found = away()
            if found and (found != said or time.monotonic() - at > AGAIN_S):
                progress.advance(0, f"waits: {found}")
                at = time.monotonic()
            said = found

    thread = threading.Thread(target=watch, name="board watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
