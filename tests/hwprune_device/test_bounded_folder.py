"""A bounded folder: what it keeps, what goes first, and that a bad disk is never an error."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune_device.bounded_folder import BoundedFolder
from tests.hwprune_device.board import ROOT

KB = 1000
FULL_MB = 0.01
"""Ten kilobytes."""


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.fixture
def folder(tmp_path):
    return BoundedFolder(tmp_path / "made" / "when-needed", FULL_MB)


def test_what_is_put_comes_out_again_in_another_process_too(folder, tmp_path):
    folder.put("a.b_c-1", b"kept")
    assert folder.get("a.b_c-1") == b"kept"
    assert BoundedFolder(tmp_path / "made" / "when-needed", FULL_MB).get("a.b_c-1") == b"kept"
    folder.put("a.b_c-1", b"newer")
    assert folder.get("a.b_c-1") == b"newer"


def test_nothing_is_made_until_something_is_put(folder, tmp_path):
    assert folder.get("nobody") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "~a", "a\n", "ä", "a\0"])
def test_a_name_that_could_lead_elsewhere_is_refused(folder, name):
    with pytest.raises(ValueError, match="possible: letters"):
        folder.get(name)
    with pytest.raises(ValueError, match="possible: letters"):
        folder.put(name, b"")


def test_what_was_not_asked_for_longest_goes_first(folder, tmp_path):
    for name in "abc":
        folder.put(name, bytes(3 * KB))
    assert folder.get("a") is not None
    folder.put("d", bytes(3 * KB))
    assert names(tmp_path / "made" / "when-needed") == {"a", "c", "d"}


def test_a_file_that_is_too_large_is_not_kept_and_nothing_goes_for_it(folder):
    folder.put("a", bytes(9 * KB))
    folder.put("b", bytes(11 * KB))
    assert folder.get("a") is not None and folder.get("b") is None


def test_a_lower_limit_holds_from_the_start(folder, tmp_path):
    for name in "abc":
        folder.put(name, bytes(3 * KB))
    there = tmp_path / "made" / "when-needed"
    BoundedFolder(there, FULL_MB / 2)
    assert names(there) == {"c"}
    BoundedFolder(there, 0.0)
    assert names(there) == set()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(0, 11 * KB), st.booleans()), max_size=20
    )
)
def test_whatever_comes_the_folder_stays_within_its_limit_and_never_mixes(tmp_path_factory, moves):
    there = tmp_path_factory.mktemp("folder")
    folder, put = BoundedFolder(there, FULL_MB), {}
    for name, size, ask in moves:
        if ask:
            assert folder.get(name) in (None, put.get(name))
        else:
            data = name.encode() * size
            folder.put(name, data)
            if size <= 10 * KB:
                put[name] = data
                assert folder.get(name) == data
        assert size_of(there) <= 10 * KB


def test_a_clock_that_was_ahead_keeps_nothing_for_ever(folder, tmp_path):
    folder.put("ahead", bytes(4 * KB))
    ahead = time.time() + 1e7
    os.utime(tmp_path / "made" / "when-needed" / "ahead", (ahead, ahead))
    folder.put("b", bytes(4 * KB))
    folder.put("c", bytes(4 * KB))
    assert folder.get("ahead") is None and folder.get("b") is not None


def test_a_file_that_a_dead_writer_left_is_deleted_and_a_fresh_one_is_not(folder, tmp_path):
    folder.put("a", b"a")
    there = tmp_path / "made" / "when-needed"
    for name in ("~dead", "~alive"):
        (there / name).write_bytes(b"half")
    old = time.time() - 7200
    os.utime(there / "~dead", (old, old))
    folder.put("b", b"b")
    assert names(there) == {"a", "b", "~alive"}


def test_a_full_disk_keeps_nothing_and_says_nothing(folder, tmp_path, monkeypatch):
    folder.put("a", b"there before")

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    folder.put("b", b"too much")
    assert folder.get("b") is None and folder.get("a") == b"there before"
    assert names(tmp_path / "made" / "when-needed") == {"a"}


def test_a_disk_that_cannot_be_written_is_read_all_the_same(tmp_path, monkeypatch):
    BoundedFolder(tmp_path, FULL_MB).put("a", b"there before")

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", read_only)
    monkeypatch.setattr(Path, "open", read_only)
    folder = BoundedFolder(tmp_path, FULL_MB)
    folder.put("b", b"no")
    monkeypatch.undo()
    assert folder.get("b") is None and folder.get("a") == b"there before"


def test_a_path_that_is_no_folder_keeps_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    folder = BoundedFolder(tmp_path / "file", FULL_MB)
    folder.put("a", b"a")
    assert folder.get("a") is None


CODE = """
import random, sys
from pathlib import Path
from hwprune_device.bounded_folder import BoundedFolder
folder, draw = BoundedFolder(Path(sys.argv[1]), 0.01), random.Random(int(sys.argv[2]))
for _ in range(150):
    name = draw.choice("abcdef")
    if draw.random() < 0.5:
        data = folder.get(name)
        assert data is None or (data and data == name.encode() * len(data)), name
    else:
        folder.put(name, name.encode() * draw.randrange(1, 6000))
"""


def test_several_processes_at_once_never_see_half_a_file_nor_leave_too_much(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "devices")}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(tmp_path), str(seed)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    said = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4, said
    assert size_of(tmp_path) <= 10 * KB
    assert not [name for name in names(tmp_path) if name.startswith("~")]
