"""While a board times, other work of hwprune on the same machine rests."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwprune_device import lock_file, quiet


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_file, "places", lambda: iter([tmp_path]))


@pytest.fixture
def another_process_times(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from pathlib import Path; from hwprune_device import lock_file, quiet\n"
            f"lock_file.places = lambda: iter([Path({str(tmp_path)!r})])\n"
            "with quiet.timing(): print(1, flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def begin_work() -> threading.Event:
    begun = threading.Event()

    def work() -> None:
        with quiet.working():
            begun.set()

    threading.Thread(target=work, daemon=True).start()
    return begun


def test_work_begins_once_the_timing_is_over(
    another_process_times: subprocess.Popen[str],
) -> None:
    begun = begin_work()
    assert not begun.wait(0.2)
    another_process_times.communicate("\n")
    assert begun.wait(5)


def test_a_killed_board_holds_nobody_up(another_process_times: subprocess.Popen[str]) -> None:
    begun = begin_work()
    another_process_times.kill()
    assert begun.wait(5)


def test_timing_waits_for_the_piece_of_work_under_way() -> None:
    times = threading.Event()

    def time_a_batch() -> None:
        with quiet.timing():
            times.set()

    with quiet.working():
        threading.Thread(target=time_a_batch, daemon=True).start()
        assert not times.wait(0.2)
    assert times.wait(5)


def test_timing_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "PATIENCE_S", 0.1)
    began = time.monotonic()
    with quiet.working(), quiet.timing():
        assert time.monotonic() - began < 5


def test_two_boards_may_time_at_once_and_two_pieces_of_work_too() -> None:
    with quiet.timing(), quiet.timing():
        pass
    with quiet.working(), quiet.working():
        pass
