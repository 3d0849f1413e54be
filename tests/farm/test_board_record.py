"""The record of a board: written by one thread, read by others."""

from __future__ import annotations

import sys
import threading

import pytest

from hwprune.farm.board_record import BoardRecord
from tests.readings import reading


@pytest.fixture
def hasty_threads():
    """Threads that give way to each other all the time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_it_can_be_read_while_batches_are_noted(hasty_threads):
    record, over = BoardRecord("pi-1", "pi"), threading.Event()
    for _ in range(5000):
        record.note([], 0.0)

    def note() -> None:
        while not over.is_set():
            record.note([reading()], 0.1)

    worker = threading.Thread(target=note)
    worker.start()
    try:
        counts = [record.status().readings for _ in range(100)]
    finally:
        over.set()
        worker.join()
    assert counts == sorted(counts)
    assert record.status().readings_per_hour > 0
