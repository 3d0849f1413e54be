"""What goes wrong on a farm, done for real: nothing is lost, nothing is read twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hwprune.board import Board, this_machine
from hwprune.candidate import Candidate
from hwprune.farm.farm import Farm
from hwprune.farm.fleet import Fleet
from hwprune.farm.reading_key import ReadingKey
from hwprune.farm.store import ReadingStore
from hwprune_device.job import Protocol
from hwprune_device.reading import Failure, Reading
from tests.farm.base import base_network
from tests.farm.board_python import KILLS, SLOWER, YEAR_S, board_python

PROTOCOL = Protocol(rounds=5, max_rounds=5, disturbed_rounds=1, precision_pct=50.0)
BOARD = replace(this_machine(), protocol=PROTOCOL)
SLOW = replace(PROTOCOL, rounds=10**6, max_rounds=10**6, cap_s=1.5)
HALF_A_SECOND = replace(SLOW, cap_s=0.5)
"""As long as a batch takes in which something is killed."""


@pytest.fixture
def store(tmp_path):
    store = ReadingStore(tmp_path / "readings.sqlite")
    yield store
    store.close()


@pytest.fixture
def farm_of(store):
    farms = []

    def start(*boards: Board, **arguments) -> Farm:
        farm = Farm(boards, store, **arguments)
        farms.append(farm)
        farm.start()
        farm.place(base_network())
        return farm

    yield start
    for farm in farms:
        farm.close()


def candidates(*firsts: int) -> list[Candidate]:
    return [Candidate(widths=(first, 16, 16)) for first in firsts]


def results(futures) -> list:
    return [future.result(timeout=120) for future in futures]


def good_readings(farm: Farm, store: ReadingStore, *firsts: int) -> list[int]:
    keys = [farm._pool.key_of(candidate) for candidate in candidates(*firsts)]
    return [sum(not reading.doubts for reading in store.readings(key)) for key in keys]


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def kill_supervisors(farm: Farm) -> None:
    """Kill what runs on the farm's boards, and the child of it."""
    connections = [worker.session._connection for worker in farm._workers]
    owners = {connection._arguments[1].encode() for connection in connections}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if owners & set(words):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(folder.name), signal.SIGKILL)


def state_of(farm: Farm, board: str) -> str:
    return next(b.state for b in farm.status().boards if b.name == board)


def test_a_killed_supervisor_costs_a_strike_at_most_and_no_reading(farm_of, store):
    farm = farm_of(replace(BOARD, protocol=HALF_A_SECOND))
    assert isinstance(farm.calibrate(), Reading)
    futures = farm.measure(candidates(4, 8))
    until(lambda: state_of(farm, BOARD.name) == "busy")
    time.sleep(0.2)
    kill_supervisors(farm)
    assert all(isinstance(outcome, Reading) for outcome in results(futures))
    assert farm.poisoned == ()


def test_a_network_that_kills_boards_is_poison_and_the_others_are_read(farm_of, store, tmp_path):
    farm = farm_of(replace(BOARD, python=board_python(tmp_path, "killer", "late")))
    *others, killer = results(farm.measure(candidates(4, 8, 12, KILLS)))
    assert all(isinstance(outcome, Reading) for outcome in others)
    assert isinstance(killer, Failure) and killer.stage == "poison"
    assert "2 times" in killer.message and "died" in killer.message
    assert farm.poisoned == (killer.architecture,)
    assert farm.status().kinds[0].poisoned == 1
    # Another run is not killed by it: the store knows.
    again = farm_of(BOARD)
    again._pool.conditions_key = farm._pool.conditions_key
    assert results(again.measure(candidates(KILLS))) == [killer]


@pytest.mark.heavy
@pytest.mark.skipif(os.geteuid() != 0, reason="a boot id can be replaced by root alone")
def test_a_board_that_was_rebooted_mid_job_speaks_against_who_was_at_work(
    farm_of, store, tmp_path
):
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("first\n")
    place = "/proc/sys/kernel/random/boot_id"
    start = f"exec unshare -m sh -c 'mount --bind {boot_id} {place} && exec \"$@\"' sh"
    python = board_python(tmp_path, start=start)
    farm = farm_of(replace(BOARD, python=python, protocol=replace(SLOW, cap_s=3.0)))
    assert isinstance(farm.calibrate(), Reading)
    (future,) = farm.measure(candidates(4))
    until(lambda: state_of(farm, BOARD.name) == "busy")
    time.sleep(1.5)  # it is being timed by then, also where others use this machine
    boot_id.write_text("second\n")
    kill_supervisors(farm)
    assert isinstance(future.result(timeout=60), Reading)
    key = farm._pool.key_of(*candidates(4))
    assert store.strikes(key) == [(BOARD.name, "rebooted")]


def test_a_board_whose_clock_is_a_year_off_has_readings_of_today(farm_of, store, tmp_path):
    farm = farm_of(replace(BOARD, python=board_python(tmp_path, "year-off")))
    (reading,) = results(farm.measure(candidates(4)))
    age = datetime.now(UTC) - datetime.fromisoformat(reading.taken_at)
    assert abs(age.total_seconds()) < 120
    assert reading.conditions["board_clock_off_s"] == pytest.approx(YEAR_S, abs=60)


@pytest.mark.parametrize(
    "drift", ["drift-simulated", pytest.param("drift", marks=[pytest.mark.heavy])]
)
def test_a_board_whose_canary_is_off_is_quarantined_until_it_reads_right(
    farm_of, store, tmp_path, drift
):
    flag = tmp_path / "drift"
    steady = replace(PROTOCOL, rounds=20, max_rounds=20)
    python = board_python(tmp_path, f"{drift}={flag}", start="HWPRUNE_SIMULATED_S=0.05 exec")
    farm = farm_of(replace(BOARD, python=python, protocol=steady))
    end = time.monotonic() + 90
    # A reading that is doubted, on a machine that others use, becomes no canary.
    while not farm._pool.canaries.all and time.monotonic() < end:
        results(farm.measure(candidates(4, 6, 8, 10, 12, 14)))
    assert farm._pool.canaries.all
    flag.touch()
    futures = farm.measure(candidates(5, 7, 9, 13))
    until(lambda: state_of(farm, BOARD.name) == "quarantined")
    assert "canary" in farm.status().boards[0].message
    assert farm.status().boards[0].canary_off_pct > 20
    said = Fleet({BOARD.kind: farm}).away()
    assert said.startswith(f"board {BOARD.name} is quarantined: its canary reads +")
    flag.unlink()
    until(lambda: state_of(farm, BOARD.name) in ("idle", "busy"))
    results(futures)
    for first in (5, 7, 9, 13):
        known = store.get(farm._pool.key_of(*candidates(first)))
        # What was read while it drifted is not served as good.
        assert known is None or known.ratio < 1.0
    fresh = farm.remeasure(*candidates(5), 1)[0]
    served = store.get(farm._pool.key_of(*candidates(5)))
    assert served is None or served.ratio == pytest.approx(fresh.ratio, rel=0.2)


@pytest.mark.parametrize("slow_at_first", [False, True])
def test_a_board_that_stays_at_another_speed_is_believed_there(
    farm_of, store, tmp_path, slow_at_first
):
    flag = tmp_path / "slow"
    if slow_at_first:
        flag.touch()
    python = board_python(
        tmp_path, f"slow-simulated={flag}", start="HWPRUNE_SIMULATED_S=0.01 exec"
    )
    farm = farm_of(replace(BOARD, python=python))
    results(farm.measure(candidates(4, 6, 8, 10, 12, 14)))
    assert farm._pool.canaries.all
    if slow_at_first:
        # Fast for a while, as a processor that was lent a higher clock.
        flag.unlink()
        results(farm.measure(candidates(5, 7)))
        assert farm.calm_ms == pytest.approx(1.0)
    flag.touch()
    # None is served as good that was taken before the board's speed was known.
    results(farm.measure(candidates(1, 2, 3, 9)))
    until(lambda: farm.calm_ms == pytest.approx(SLOWER) and state_of(farm, BOARD.name) == "idle")
    good = results(farm.measure(candidates(11, 13, 15)))
    assert not any(reading.doubts for reading in good)
    assert farm.status().boards[0].state == "idle"


def test_a_board_that_is_not_there_is_waited_for_while_another_works(farm_of, store, tmp_path):
    late = tmp_path / "late" / "python3"
    other = replace(BOARD, name="late", python=str(late))
    farm = farm_of(BOARD, other)
    assert state_of(farm, "late") == "lost"
    assert all(isinstance(o, Reading) for o in results(farm.measure(candidates(4, 8))))
    late.parent.mkdir()
    board_python(late.parent)
    until(lambda: state_of(farm, "late") != "lost")
    assert all(isinstance(o, Reading) for o in results(farm.measure(candidates(*range(1, 11)))))


def test_when_no_board_answers_for_long_whoever_waits_is_told(farm_of, store, tmp_path):
    python = Path(board_python(tmp_path))
    farm = farm_of(replace(BOARD, python=str(python)), patience_s=2.0)
    assert isinstance(farm.calibrate(), Reading)
    python.write_text("#!/bin/sh\necho the power is off >&2; exit 1\n")
    kill_supervisors(farm)
    (outcome,) = results(farm.measure(candidates(4)))
    assert isinstance(outcome, Failure) and outcome.stage == "lost"
    assert "the power is off" in outcome.message


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small tmpfs can be mounted by root alone")
def test_a_full_disk_loses_no_reading(small_disk):
    store = ReadingStore(small_disk / "readings.sqlite")
    farm = Farm([BOARD], store)
    try:
        farm.start()
        farm.place(base_network())
        assert isinstance(farm.calibrate(), Reading)
        ballast = small_disk / "ballast"
        with ballast.open("wb") as file, pytest.raises(OSError):
            while True:
                os.write(file.fileno(), b"x" * 1024)
        outcomes = results(farm.measure(candidates(4, 6, 8, 10)))
        assert all(isinstance(outcome, Reading) for outcome in outcomes)
        keys = {outcome.reading_id: farm._pool.key(outcome.architecture) for outcome in outcomes}
        assert kept_in(store, keys), "in memory, as long as there is no room"
        assert store.unwritten and "is full" in farm.status().warnings[0]
        ballast.unlink()
        assert isinstance(results(farm.measure(candidates(12)))[0], Reading)
        assert store.unwritten == 0 and farm.status().warnings == ()
    finally:
        farm.close()
        store.close()
    again = ReadingStore(small_disk / "readings.sqlite")
    assert kept_in(again, keys)
    again.close()


def kept_in(store: ReadingStore, keys: Mapping[str, ReadingKey]) -> bool:
    """Whether a store gives all readings, named by their ids, and serves those it can trust."""
    for reading_id, key in keys.items():
        readings = {reading.reading_id: reading for reading in store.readings(key)}
        good = any(not reading.doubts for reading in readings.values())
        if reading_id not in readings or (store.get(key) is not None) != good:
            return False
    return True


HEAD = """
import sys
from hwprune.farm.farm import Farm
from hwprune.farm.store import ReadingStore
from tests.farm.base import base_network
from tests.farm.test_faults import BOARD, candidates
farm = Farm([BOARD], ReadingStore(sys.argv[1]))
farm.start()
farm.place(base_network())
for first in range(1, 16):
    (future,) = farm.measure(candidates(first))
    print(first, future.result().reading_id, flush=True)
farm.close()
"""


def head(store: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HEAD, str(store)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_a_head_that_is_killed_and_started_again_reads_nothing_twice(tmp_path):
    first = head(tmp_path / "s.sqlite")
    said = [first.stdout.readline().split() for _ in range(6)]
    first.kill()
    first.wait()
    second = head(tmp_path / "s.sqlite")
    again, _ = second.communicate(timeout=120)
    ids = dict(line.split() for line in again.splitlines())
    assert len(ids) == 15
    store = ReadingStore(tmp_path / "s.sqlite")
    query = "SELECT lower(hex(reading_id)) FROM readings WHERE doubted = 0"
    good = {reading_id for (reading_id,) in store.file.rows(query)}
    store.close()
    # What was read well before the end is what is served after it; the two canaries alone are
    # read again, and the reading in the middle is served of theirs.
    changed = [first for first, i in said if i in good and ids[first] != i]
    assert set(ids.values()) and len(changed) <= 2
