"""The memory guard: what a child holds, what a board has left, and a child that eats memory."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

from hwprune_device.measurement.fork import Watch, run_in_child
from hwprune_device.measurement.memory_guard import MemoryGuard
from hwprune_device.owner import start_of
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes import BrokenProcessError
from tests.hwprune_device.board import running
from tests.hwprune_device.chain import QUICK, chain, job, name, plan
from tests.hwprune_device.measurement import troubled_board as trouble
from tests.hwprune_device.recorded import write

MAIN = ("-m", "tests.hwprune_device.measurement.troubled_board")
TEGRA = {"proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0"}


def holding(mb: float, file_mb: float = 0.0) -> dict[str, str]:
    """A process that holds memory of its own, and pages of files."""
    kb, file_kb = round(mb * 1e6 / 1024), round(file_mb * 1e6 / 1024)
    lines = (f"RssAnon:\t{kb} kB", f"RssFile:\t{file_kb} kB", "RssShmem:\t0 kB", "VmSwap:\t0 kB")
    return {"proc/7/status": "Name:\tpython\n" + "\n".join(lines) + "\n"}


def left(mb: float, whole_mb: float = 8000.0) -> dict[str, str]:
    rows = (("MemTotal", whole_mb), ("MemAvailable", mb))
    return {"proc/meminfo": "\n".join(f"{n}: {round(v * 1e6 / 1024)} kB" for n, v in rows) + "\n"}


def test_growth_beyond_the_limit_is_told_with_both_numbers(tmp_path):
    guard = MemoryGuard(7, 100.0, write(tmp_path, holding(200)))
    write(tmp_path, holding(290))
    assert guard.over() == ""
    write(tmp_path, holding(320))
    assert guard.over() == "the process held 120 MB, and 100 MB are allowed"


def test_pages_of_files_do_not_count(tmp_path):
    guard = MemoryGuard(7, 100.0, write(tmp_path, holding(200)))
    write(tmp_path, holding(210, file_mb=3000))
    assert guard.over() == ""


def test_a_board_with_memory_of_its_own_is_not_looked_at(tmp_path):
    guard = MemoryGuard(7, 100.0, write(tmp_path, holding(10) | left(6000)))
    write(tmp_path, left(50))
    assert guard.over() == ""


def test_what_a_gpu_took_of_a_shared_memory_counts(tmp_path):
    guard = MemoryGuard(7, 1000.0, write(tmp_path, TEGRA | holding(10) | left(6000)))
    write(tmp_path, left(5100))
    assert guard.over() == ""
    write(tmp_path, left(4900))
    assert "lost 1100 MB" in guard.over() and "1000 MB are allowed" in guard.over()


def test_a_shared_memory_that_runs_out_ends_a_child_without_any_limit(tmp_path):
    guard = MemoryGuard(7, None, write(tmp_path, TEGRA | holding(10) | left(6000)))
    write(tmp_path, left(300))
    assert guard.over() == ""
    write(tmp_path, left(200))
    assert "had 200 MB left" in guard.over()


def test_a_child_that_is_gone_says_nothing(tmp_path):
    assert MemoryGuard(7, 1.0, tmp_path).over() == ""


def watch(**changes) -> Watch:
    plain = Watch(
        timeout_s=20.0, memory_limit_mb=None, on_frame=lambda frame: None, beat=lambda: None
    )
    return replace(plain, **changes)


def test_a_child_that_eats_memory_is_ended_for_it_and_not_by_a_limit_on_addresses():
    def eat(report, marker) -> None:
        marker.note(3, "build")
        pieces = []
        while True:
            pieces.append(bytearray(b"x") * 20_000_000)

    ending = run_in_child(eat, watch(memory_limit_mb=300.0, limits_address_space=False))
    assert (ending.kind, ending.mark.index) == ("memory", 3)
    assert "300 MB are allowed, during 'build'" in ending.message


def test_addresses_that_are_never_filled_are_free():
    def reserve(report, marker) -> None:
        import mmap

        mmap.mmap(-1, 4 * 10**9, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)

    assert run_in_child(reserve, watch(memory_limit_mb=300.0)).kind == "error"
    free = watch(memory_limit_mb=300.0, limits_address_space=False)
    assert run_in_child(reserve, free).kind == "done"


def test_what_a_child_started_ends_with_it():
    def leave_behind(report, marker) -> None:
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        report({"kind": "started", "pid": sleeper.pid})

    told = []
    assert run_in_child(leave_behind, watch(on_frame=told.append)).kind == "done"
    due = time.monotonic() + 5
    while start_of(told[0].header["pid"]) is not None and time.monotonic() < due:
        time.sleep(0.02)
    assert start_of(told[0].header["pid"]) is None


def test_a_process_that_can_run_nothing_any_more_is_a_crash_of_what_was_at_work():
    def stick(report, marker) -> None:
        marker.note(2, "time")
        raise BrokenProcessError("CUDA: an illegal memory access was encountered")

    told = []
    ending = run_in_child(stick, watch(on_frame=told.append))
    assert (ending.kind, ending.mark.index) == ("crash", 2)
    assert "illegal memory access" in told[0].header["message"]


def test_on_a_board_without_a_limit_on_addresses_the_others_are_measured():
    with running(MAIN, settings={trouble.ADDRESSES: "free"}) as board:
        board.place(chain(), plan())
        hungry, good = (trouble.EATS, 8, 8), [(8, 8, 8), (4, 8, 8), (16, 16, 16)]
        protocol = replace(QUICK, memory_limit_mb=500.0)
        outcomes = board.measure(job([good[0], hungry, *good[1:]], protocol=protocol))
        failure = outcomes.pop(name(hungry))
        assert isinstance(failure, Failure) and failure.stage == "memory"
        assert "500 MB are allowed" in failure.message
        assert len(outcomes) == 3 and all(isinstance(o, Reading) for o in outcomes.values())
