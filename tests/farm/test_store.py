"""The store: what it serves, what it refuses, and what survives a killed writer."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune.channels.base import make_base
from hwprune.errors import RunFolderError
from hwprune.farm.reading_key import ReadingKey
from hwprune.farm.store import ReadingStore
from hwprune.farm.store_rows import Cut
from hwprune_device.reading import Failure
from tests.hwprune_device.chain import chain
from tests.readings import UNTOLD, reading

KEY = ReadingKey(architecture="a", target_key="{}", conditions_key="c")
ROOT = Path(__file__).parents[2]
STORES = Path(__file__).parent / "stores"
"""Files of older versions, as SQL."""


@pytest.fixture
def store(tmp_path):
    store = ReadingStore(tmp_path / "folder" / "readings.sqlite")
    yield store
    store.close()


def read(number: int, latency_ms: float = 10.0, **changes):
    return reading(latency_ms, reading_id=f"r{number}", **changes)


def test_a_reading_comes_back_whole(store):
    kept = read(1, doubts=(), conditions={"cores": [1], "unknown": "unavailable"})
    store.add(KEY, kept)
    assert store.get(KEY) == kept


def test_a_reading_whose_memory_was_not_told_is_served_for_its_latency(store):
    kept = read(1, memory=UNTOLD)
    store.add(KEY, kept)
    assert store.get(KEY) == kept


def test_nothing_is_served_for_another_key(store):
    store.add(KEY, read(1))
    for other in ("architecture", "target_key", "conditions_key"):
        assert store.get(replace(KEY, **{other: "other"})) is None


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(st.floats(0.1, 100, allow_nan=False), st.booleans()), min_size=1, max_size=12
    )
)
def test_the_reading_served_is_the_median_of_those_without_doubts(tmp_path_factory, taken):
    store = ReadingStore(tmp_path_factory.mktemp("store") / "s.sqlite")
    for number, (latency, doubted) in enumerate(taken):
        store.add(KEY, read(number, latency, doubts=("shaky",) if doubted else ()))
    good = sorted(latency for latency, doubted in taken if not doubted)
    served = store.get(KEY)
    assert (served.latency_ms if served else None) == (
        good[(len(good) - 1) // 2] if good else None
    )
    assert len(store.readings(KEY)) == len(taken)
    store.close()


def test_a_reading_is_added_once_and_never_changed(store):
    store.add(KEY, read(1, 10.0))
    store.add(KEY, read(1, 99.0))
    assert [r.latency_ms for r in store.readings(KEY)] == [10.0]


def test_a_failure_is_served_once_it_came_twice(store):
    failure = Failure(stage="timeout", message="no end", architecture="a")
    store.add(KEY, failure)
    assert store.outcome(KEY) is None
    store.add(KEY, failure)
    assert store.outcome(KEY) == failure
    store.add(KEY, read(1))
    assert store.outcome(KEY) == read(1)


def test_a_lost_board_is_not_held_against_a_network(store):
    for _ in range(3):
        store.add(KEY, Failure(stage="lost", message="board unplugged"))
    assert store.outcome(KEY) is None


def test_the_first_calibration_stays(store):
    assert store.nominal_ms(KEY) is None
    store.calibrate(KEY, read(1, base_nominal_ms=20.0))
    store.calibrate(KEY, read(2, base_nominal_ms=30.0))
    assert store.nominal_ms(KEY) == 20.0


def test_a_hit_takes_less_than_a_millisecond(store):
    for number in range(200):
        store.add(replace(KEY, architecture=f"a{number}"), read(number))
    best = float("inf")
    for _ in range(50):
        start = time.perf_counter()
        assert store.get(replace(KEY, architecture="a100"))
        best = min(best, time.perf_counter() - start)
    assert best < 1e-3


def test_threads_and_a_second_process_may_write_at_once(store):
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.farm.test_store import KEY, ReadingStore, read\n"
        f"s = ReadingStore({str(store.path)!r})\n"
        "[s.add(KEY, read(1000 + n)) for n in range(50)]; s.close()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=_environment())
    jobs = [
        threading.Thread(target=lambda t=t: [store.add(KEY, read(100 * t + n)) for n in range(50)])
        for t in range(3)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert other.wait(60) == 0
    assert len(store.readings(KEY)) == 200


def test_a_killed_writer_leaves_the_store_whole(tmp_path):
    path = tmp_path / "s.sqlite"
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.farm.test_store import KEY, ReadingStore, read\n"
        f"s = ReadingStore({str(path)!r}); n = 0\n"
        "while True:\n"
        "    s.add(KEY, read(n)); n += 1\n"
        "    if n == 20: print('going', flush=True)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, env=_environment()
    )
    assert writer.stdout.readline().strip() == b"going"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    store = ReadingStore(path)
    kept = store.readings(KEY)
    assert len(kept) >= 20
    assert [r.reading_id for r in kept] == [f"r{n}" for n in range(len(kept))]
    store.add(KEY, read(10**6))
    store.close()
    check = sqlite3.connect(path)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


def test_a_store_of_a_newer_hwprune_is_refused_by_version(tmp_path):
    path = tmp_path / "s.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(RunFolderError) as error:
        ReadingStore(path)
    assert "99" in str(error.value) and "up to 3" in str(error.value)


def test_a_path_that_cannot_be_written_is_a_clear_error(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(RunFolderError, match="cannot be used"):
        ReadingStore(file / "s.sqlite")
    other = tmp_path / "letter.txt"
    other.write_text("Dear store, " * 1000)
    with pytest.raises(RunFolderError, match="not a database"):
        ReadingStore(other)


def test_rows_are_strict(store):
    store.add(KEY, read(1))
    database = sqlite3.connect(store.path)
    with pytest.raises(sqlite3.IntegrityError):
        database.execute("UPDATE readings SET latency_ms = 'fast'")
    database.close()


@pytest.mark.parametrize("schema", [1, 2])
def test_a_store_of_an_older_hwprune_serves_all_that_it_held(tmp_path, schema):
    path = tmp_path / "s.sqlite"
    database = sqlite3.connect(path)
    database.executescript((STORES / f"schema_{schema}.sql").read_text())
    database.close()
    store = ReadingStore(path)
    key = ReadingKey(architecture="a" * 64, target_key='{"threads": 1}', conditions_key="c" * 16)
    assert [r.latency_ms for r in store.readings(key)] == [10.0, 10.2, 30.0, 20.0]
    assert store.readings(key)[2].doubts == ("the canary was off",)
    assert store.get(key) == reading(10.2, reading_id="2" * 32)
    assert store.get(replace(key, architecture="b" * 64)).latency_ms == 5.123456
    assert store.get(replace(key, architecture="e" * 64)) is None  # its row was damaged
    assert store.outcome(replace(key, architecture="d" * 64)).stage == "timeout"
    assert store.nominal_ms(key) == 20.0
    assert store.spread(key.conditions_key, key.target_key)[1] == 2
    assert store.calm_ms(key, "pi-1") == (19.5 if schema == 2 else None)
    store.close()
    ReadingStore(path).close()  # and it is up to date now


def test_two_heads_may_bring_one_store_up_to_date_at_once(tmp_path):
    path = tmp_path / "s.sqlite"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA journal_mode = WAL")
    holder.executescript((STORES / "schema_2.sql").read_text())
    holder.execute("BEGIN IMMEDIATE")
    key = ReadingKey(architecture="a" * 64, target_key='{"threads": 1}', conditions_key="c" * 16)
    counts: list[int] = []

    def open_it() -> None:
        store = ReadingStore(path)
        counts.append(len(store.readings(key)))
        store.close()

    heads = [threading.Thread(target=open_it) for _ in range(2)]
    for head in heads:
        head.start()
    time.sleep(0.5)  # both have seen the old version, and wait to write
    holder.execute("COMMIT")
    holder.close()
    for head in heads:
        head.join()
    assert counts == [4, 4]


def test_one_outcome_that_cannot_be_written_takes_no_other_with_it(store):
    good, bad = read(1), read(2, latency_ms=float("nan"))
    with pytest.raises(RunFolderError, match="1 of 3 outcomes"):
        store.add_all([(KEY, good, None), (KEY, bad, None), (KEY, read(3), None)])
    store.add(KEY, read(4))
    assert [r.reading_id for r in store.readings(KEY)] == ["r1", "r3", "r4"]
    assert store.unwritten == 0


@pytest.fixture
def full_disk(store):
    """The store, whose disk has no room for another page until `lift` is called."""

    def lift() -> None:
        store.file.rows("PRAGMA max_page_count = 100000")

    (pages,) = store.file.rows("PRAGMA page_count")[0]
    store.file.rows(f"PRAGMA max_page_count = {pages}")
    yield lift
    lift()


def test_the_first_reading_of_a_setting_is_given_while_the_disk_is_full(store, full_disk):
    taken = read(1, runs_ms=((9.0 + 1 / 3,) * 3000,), base_ms=(20.0,))
    store.add(KEY, taken)
    assert store.unwritten == 1 and store.readings(KEY) == [taken]
    assert store.readings(replace(KEY, architecture="other")) == []


@pytest.mark.parametrize("column", ["body", "runs"])
def test_a_damaged_row_is_passed_over_and_counted(store, column):
    for number in range(3):
        store.add(KEY, read(number, 10.0 + number))
    database = sqlite3.connect(store.path)
    database.execute(f"UPDATE readings SET {column} = x'00ff' WHERE latency_ms = 11.0")
    database.commit()
    database.close()
    assert store.get(KEY).latency_ms == 10.0
    assert [r.latency_ms for r in store.readings(KEY)] == [10.0, 12.0]
    assert store.unreadable == 2


def test_what_is_known_of_a_base_makes_its_readings_mean_something(store):
    base = make_base(chain((8, 16)))
    store.know(base)
    store.add(KEY, read(1), Cut(base_id=base.base_id, widths=(4, 16)))
    database = sqlite3.connect(store.path)
    widths, structure = database.execute(
        "SELECT n.widths, b.structure FROM networks n JOIN bases b ON b.rowid = n.base"
    ).fetchone()
    database.close()
    assert json.loads(widths) == [4, 16]
    layers = json.loads(structure)["layers"]
    assert len(layers) == len(base.cost_model.layers())
    assert layers[0]["kernel"] == 9


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "devices")])}


def test_a_doubt_that_comes_later_takes_a_reading_out_of_those_served(store):
    store.add(KEY, reading(10.0, reading_id="late"))
    assert store.get(KEY) is not None
    store.doubt("late", "taken while the board drifted")
    assert store.get(KEY) is None
    (kept,) = store.readings(KEY)
    assert kept.doubts == ("taken while the board drifted",)


def test_strikes_count_until_they_are_withdrawn(store):
    first = store.strike(KEY, "pi-1", "died")
    store.strike(KEY, "pi-2", "rebooted")
    assert store.strikes(KEY) == [("pi-1", "died"), ("pi-2", "rebooted")]
    store.acquit(first)
    assert store.strikes(KEY) == [("pi-2", "rebooted")]


def test_poison_is_served_at_once_where_other_failures_must_come_twice(store):
    poison = Failure(stage="poison", message="took boards down", architecture=KEY.architecture)
    store.add(KEY, poison)
    assert store.outcome(KEY) == poison


def test_the_spread_is_that_of_networks_that_were_read_again(store):
    for number, latency in enumerate((9.9, 10.0, 10.1)):
        store.add(KEY, reading(latency, reading_id=f"again-{number}"))
    other = replace(KEY, architecture="b" * 64)
    store.add(other, reading(50.0, reading_id="once"))
    store.add(KEY, reading(20.0, reading_id="doubted", doubts=("odd",)))
    squares, freedom = store.spread(KEY.conditions_key, KEY.target_key)
    assert freedom == 2
    assert (squares / freedom) ** 0.5 == pytest.approx(0.01, rel=0.05)


def test_every_board_has_a_calm_time_of_its_own(store):
    store.keep_calm(KEY, "pi-1", 2.0)
    store.keep_calm(KEY, "pi-1", 1.9)
    assert (store.calm_ms(KEY, "pi-1"), store.calm_ms(KEY, "pi-2")) == (1.9, None)
