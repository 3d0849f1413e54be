"""The doctor's look at this machine: cores, clocks, stolen time, memory, disk."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from hwprune.cli.checks.check import Check

LEAST_RAM_GB = 4.0
LEAST_DISK_GB = 2.0
STEAL_WATCH_S = 0.6
STEAL_SHARE = 0.01
"""From here on the device package doubts its readings, too."""
_CPU = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")


def cores() -> Check:
    """Cores this process may use; the board wants one for itself."""
    usable, there = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    quota = _cpu_quota()
    found = f"{usable} of {there} cores usable"
    if quota is not None:
        found += f", limited to {quota:g} by the container"
    if min(usable, quota or usable) >= 2:
        return Check(name="cores", state="ok", found=found)
    return Check(
        name="cores",
        state="warn",
        found=found,
        mend="give it 2 cores or more: with one, scoring and timing wait for each other",
    )


def governor() -> Check:
    """Whether the clock may change while a network is timed."""
    files = sorted(_CPU.glob("cpu[0-9]*/cpufreq/scaling_governor"))
    if not files:
        return Check(
            name="governor",
            state="ok",
            found="not told by the system (usual in containers and virtual machines)",
        )
    governors = sorted({file.read_text().strip() for file in files})
    if governors == ["performance"]:
        return Check(name="governor", state="ok", found="performance on every core")
    return Check(
        name="governor",
        state="warn",
        found=", ".join(governors),
        mend="for steadier readings: sudo cpupower frequency-set -g performance",
    )


def steal() -> Check:
    """Time that the hypervisor takes from this machine while the doctor watches."""
    before = _stat()
    time.sleep(STEAL_WATCH_S)
    after = _stat()
    # Some sandboxes show a /proc/stat that stands still.
    if before is None or after is None or after[1] <= before[1]:
        return Check(name="steal", state="ok", found="not told by the system")
    share = (after[0] - before[0]) / (after[1] - before[1])
    load = os.getloadavg()[0]
    found = f"{share:.1%} stolen by the hypervisor, load {load:.1f}"
    if share <= STEAL_SHARE:
        return Check(name="steal", state="ok", found=found)
    return Check(
        name="steal",
        state="warn",
        found=found,
        mend="readings will name doubts: use a machine whose cores are its own",
    )


def memory() -> Check:
    """Memory that is left for a run."""
    import psutil

    left_gb = psutil.virtual_memory().available / 1e9
    limit_gb = _memory_limit_gb()
    found = f"{left_gb:.1f} GB available"
    if limit_gb is not None:
        found += f", limited to {limit_gb:.1f} GB by the container"
    if min(left_gb, limit_gb or left_gb) >= LEAST_RAM_GB:
        return Check(name="memory", state="ok", found=found)
    return Check(
        name="memory",
        state="warn",
        found=found,
        mend=f"free {LEAST_RAM_GB:g} GB: torch and ray together take 2 to 3",
    )


def cache_folder() -> Check:
    """Whether readings can be kept: the store lies in the user's cache folder."""
    folder = store_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(
            name="cache folder",
            state="fail",
            found=f"{folder}: {error.strerror or error}",
            mend="make it writable, or name another: export HWPRUNE_STORE=FOLDER/readings.sqlite",
        )
    return _space("cache folder", folder)


def run_folder() -> Check:
    """Whether runs can be kept where the doctor was called."""
    here = Path.cwd()
    if os.access(here, os.W_OK):
        return _space("run folder", here)
    return Check(
        name="run folder",
        state="warn",
        found=f"{here} cannot be written",
        mend="call hwprune in a folder of your own, or name one with --out",
    )


def store_folder() -> Path:
    """Where readings are kept: see `HWPRUNE_STORE` and `XDG_CACHE_HOME`."""
    from hwprune.user_cache import user_cache

    store = os.environ.get("HWPRUNE_STORE")
    if store:
        return Path(store).expanduser().parent
    return user_cache()


def _space(name: str, folder: Path) -> Check:
    left_gb = shutil.disk_usage(folder).free / 1e9
    found = f"{folder}: writable, {left_gb:.1f} GB free"
    if left_gb >= LEAST_DISK_GB:
        return Check(name=name, state="ok", found=found)
    return Check(
        name=name, state="warn", found=found, mend=f"free {LEAST_DISK_GB:g} GB on that disk"
    )


def _stat() -> tuple[int, int] | None:
    """(stolen, all) ticks of the whole machine since boot."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0].split()
    except (OSError, IndexError):
        return None
    # user nice system idle iowait irq softirq steal; guests' ticks after them are in user's.
    ticks = [int(field) for field in first[1:9]]
    return ticks[7], sum(ticks)


def _cpu_quota() -> float | None:
    """Cores that the container's quota allows; None without one."""
    # Of cgroup v2: v1 has other files, and is then taken for no limit.
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _memory_limit_gb() -> float | None:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
    except OSError:
        return None
    return None if limit == "max" else int(limit) / 1e9
