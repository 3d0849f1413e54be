"""The supervisor's command line: which cores it takes, and what it says of those it cannot."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hwprune_device.__main__ import NO_SUCH_CORES, CoresError, chosen_cores
from tests.hwprune_device.board import ROOT

ALLOWED = sorted(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("wanted", "threads", "cores"),
    [
        ("all", 1, (0, 1, 3)),
        ("last", 1, (3,)),
        ("last", 2, (1, 3)),
        ("1", 1, (1,)),
        ("3,1", 1, (3, 1)),
        ("3,1,3", 1, (3, 1)),
    ],
)
def test_words_become_cores_each_of_them_once(wanted, threads, cores):
    assert chosen_cores(wanted, threads, [0, 1, 3]) == cores


@pytest.mark.parametrize("wanted", ["first", "", "1,", "0-3"])
def test_words_that_name_no_cores_are_named(wanted):
    with pytest.raises(CoresError, match="possible: last, all, or a list such as 3"):
        chosen_cores(wanted, 1, [0, 1, 3])


@pytest.mark.parametrize("wanted", ["one it has,99999", "5000", "-1", "9" * 30, "first"])
def test_cores_that_the_board_lacks_end_it_with_words(wanted):
    wanted = wanted.replace("one it has", str(ALLOWED[0]))
    done = subprocess.run(
        [sys.executable, "-m", "hwprune_device", "--cores", wanted],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "devices")},
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (NO_SUCH_CORES, "")
    (line,) = done.stderr.splitlines()
    assert line.endswith("set cores in the board's profile")
    if wanted != "first":
        assert "the board has cores 0" in line
        assert f"this process may use {','.join(map(str, ALLOWED))}" in line
