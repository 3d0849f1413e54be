"""Farms as tests of their status need them: a status, a farm that writes it, a page of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hwprune.farm.page import FarmPage
from hwprune.farm.status import BoardStatus, FarmStatus, FarmView, KindStatus, write_status

HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
KIND = "Orin Nano"
NOBODY = 2**22 + 1
"""A process id that Linux never gives."""


def farm_status(farm: str = "my-farm", **changes: Any) -> FarmStatus:
    """A farm that runs in this process, with a board at work and one that is lost."""
    now = time.time()
    told: dict[str, Any] = {
        "farm": farm,
        "pid": os.getpid(),
        "what": "runs/resnet",
        "started_at": now - 7500,
        "written_at": now,
        "boards": (
            BoardStatus(
                name="orin-1",
                kind=KIND,
                state="busy",
                job="16 candidates, 3 s",
                temperature_c=61.4,
                canary_off_pct=-0.8,
                canary_at=now - 130,
                readings=412,
                failures=2,
                readings_per_hour=198.2,
                busy_share=0.93,
            ),
            BoardStatus(name="orin-2", kind=KIND, state="lost", message="connecting, attempt 3"),
        ),
        "kinds": (
            KindStatus(
                kind=KIND,
                queue=214,
                on_boards=25,
                cache_hits=310,
                asked=1120,
                poisoned=1,
                eta_device_minutes=66.2,
            ),
        ),
        "warnings": ("orin-2 was lost",),
    }
    return FarmStatus(**(told | changes))


def gone(farm: str = "gone-farm", *, age_s: float = 7200.0, **changes: Any) -> FarmStatus:
    """A farm whose process died `age_s` ago without a word."""
    then = time.time() - age_s
    return farm_status(farm, pid=NOBODY, started_at=then - 60, written_at=then, **changes)


@contextmanager
def running(**changes: Any) -> Iterator[Callable[..., None]]:
    """A farm that writes on until the end of the block; gives what changes its words."""
    end, lock = threading.Event(), threading.Lock()
    told = [changes]

    def write() -> None:
        with lock:
            write_status(farm_status(**told[0]))

    def tell(**changes: Any) -> None:
        told[0] = changes
        write()

    def write_on() -> None:
        while not end.wait(0.5):
            write()

    write()
    writer = threading.Thread(target=write_on, daemon=True)
    writer.start()
    try:
        yield tell
    finally:
        end.set()
        writer.join()


@contextmanager
def serving(
    look: Callable[[], Sequence[FarmStatus]] | None = None, host: str = "127.0.0.1"
) -> Iterator[FarmPage]:
    """The farm's page on a free port until the end of the block."""
    with FarmPage(look or FarmView().look, host=host, port=0) as page:
        thread = threading.Thread(target=page.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield page
        finally:
            page.shutdown()
            thread.join()
