"""A CPU quota that stops a process is counted, however its kernel arranges control groups."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwprune_device.conditions.quota import STOPPED, quota_counts
from hwprune_device.conditions.sysfs import UNAVAILABLE
from hwprune_device.conditions.throttling import throttling
from hwprune_device.measurement.doubts import state_doubts
from tests.hwprune_device.board import ROOT
from tests.hwprune_device.recorded import laptop, write

GROUPS = Path("/sys/fs/cgroup")
BURN = """
import json, os, sys, time
from hwprune_device.conditions.throttling import throttling
open(sys.argv[1], "w").write(str(os.getpid()))
for _ in range(2):
    until = time.process_time() + 0.2
    while time.process_time() < until: pass
    print(json.dumps(throttling([0]).to_json()))
"""


def stat(periods: int, stopped: int) -> str:
    return f"usage_usec 9\nnr_periods {periods}\nnr_throttled {stopped}\nthrottled_usec 7\n"


def test_the_own_group_and_those_above_it_are_added_up(tmp_path):
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/system.slice/board.service\n",
            "sys/fs/cgroup/cpu.stat": "usage_usec 9\n",
            "sys/fs/cgroup/system.slice/cpu.stat": stat(10, 2),
            "sys/fs/cgroup/system.slice/board.service/cpu.stat": stat(53, 48),
            "sys/fs/cgroup/system.slice/other.service/cpu.stat": stat(9, 9),
        },
    )
    assert quota_counts(tmp_path) == {STOPPED: 50}


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
def test_the_older_kind_of_groups_is_read_too(tmp_path, mount):
    lines = f"5:memory:/a\n4:{mount}:/docker/0f\n1:name=systemd:/docker/0f\n0::/\n"
    text = "nr_periods 53\nnr_throttled 48\nthrottled_time 7\n"
    place = f"sys/fs/cgroup/{mount}/docker/0f/cpu.stat"
    write(tmp_path, {"proc/self/cgroup": lines, place: text})
    assert quota_counts(tmp_path) == {STOPPED: 48}


@pytest.mark.parametrize("path", ["/docker/0f", "/../../docker/0f", "/"])
def test_a_container_that_is_shown_its_hosts_path_finds_itself_at_the_mount(tmp_path, path):
    files = {"proc/self/cgroup": f"0::{path}\n", "sys/fs/cgroup/cpu.stat": stat(53, 48)}
    assert quota_counts(write(tmp_path, files)) == {STOPPED: 48}


def test_beside_the_older_kind_the_newer_may_lie_below_it(tmp_path):
    files = {"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/unified/a/cpu.stat": stat(5, 1)}
    assert quota_counts(write(tmp_path, files)) == {STOPPED: 1}


def test_where_no_quota_was_ever_in_force_nothing_is_told(tmp_path):
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": stat(0, 0)}
    assert quota_counts(write(tmp_path, files)) == {}
    assert throttling([0], tmp_path).to_json() == UNAVAILABLE
    assert quota_counts(tmp_path / "nothing") == {}


def test_a_quota_stands_beside_the_boards_own_counters(tmp_path):
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": stat(53, 48)}
    alone = throttling([0], write(tmp_path, files))
    assert not alone.known and alone.to_json()["counts"] == {STOPPED: 48}
    counts = throttling([0, 1], laptop(tmp_path)).counts
    assert counts[STOPPED] == 48 and counts["thermal throttling of the package"] == 9


def test_what_a_quota_stopped_within_a_batch_is_a_doubt(tmp_path):
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": stat(53, 4)}
    before = {"throttling": throttling([0], write(tmp_path, files)).to_json()}
    write(tmp_path, {"sys/fs/cgroup/cpu.stat": stat(106, 52)})
    (doubt,) = state_doubts(before, {"throttling": throttling([0], tmp_path).to_json()})
    assert doubt == (
        "the board counted throttling by the CPU quota of its control group 48 times during the "
        "batch"
    )


@pytest.fixture
def limited_group() -> Iterator[Path]:
    """A real control group that may take a tenth of a core; skipped where none can be made."""
    for parent, file, quota in (
        (GROUPS / "cpu", "cpu.cfs_quota_us", "10000"),
        (GROUPS, "cpu.max", "10000 100000"),
    ):
        group = parent / f"hwprune-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / file).exists():
                (group / file).write_text(quota)
                yield group
                return
        finally:
            group.rmdir()
    pytest.skip("no control group with a CPU quota can be made here: it needs root and a mount")


@pytest.mark.heavy
def test_a_real_quota_is_counted_while_it_stops_a_process(limited_group):
    done = subprocess.run(
        [sys.executable, "-c", BURN, str(limited_group / "cgroup.procs")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "devices")},
        timeout=60,
    )
    first, second = ({"throttling": json.loads(line)} for line in done.stdout.splitlines())
    (doubt,) = state_doubts(first, second)
    assert "throttling by the CPU quota of its control group" in doubt
