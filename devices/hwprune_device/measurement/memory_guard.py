"""The memory guard: ends a child that holds too much where its address space cannot be limited.

CUDA reserves hundreds of GB of addresses and fills almost none, so a limit on addresses would stop
every child. What a child really holds is looked at from outside instead. On a board whose GPU
works in the board's own memory the driver's share belongs to no process, so there the memory that
is left counts too.
"""

from __future__ import annotations

from pathlib import Path

from hwprune_device.conditions import tegra
from hwprune_device.conditions.sysfs import ROOT, read

_HELD = ("RssAnon", "RssShmem", "VmSwap")
"""Pages of files are left out: the kernel takes them back when it needs them."""
_LEAST_SHARE = 0.03
_LEAST_MB = 256.0
"""A board with less left than this, or than that share, is about to lose more than one child."""


class MemoryGuard:
    """Watches the memory of one child; made when that has just started.

    Args:
        pid: the child.
        limit_mb: what it may hold beyond what it started with, in MB of 10**6; None for no limit.
        root: where /proc is looked for.
    """

    def __init__(self, pid: int, limit_mb: float | None, root: Path = ROOT) -> None:
        self._status = root / "proc" / str(pid) / "status"
        self._meminfo = root / "proc" / "meminfo"
        self._limit_mb = limit_mb
        self._shared = bool(tegra.chip(root))
        self._start_mb = self._held_mb()
        # Other programs move it too; where GPU and board share it nothing better is known.
        self._start_left_mb = self._left_mb()

    def over(self) -> str:
        """Return why the child must end now; an empty text while it may go on."""
        held, left, limit = self._held_mb(), self._left_mb(), self._limit_mb
        # What it held when forked is shared with the supervisor, and costs nothing twice.
        if limit is not None and held is not None and held - (self._start_mb or 0.0) > limit:
            grown = held - (self._start_mb or 0.0)
            return f"the process held {grown:.0f} MB, and {limit:.0f} MB are allowed"
        # A card has memory of its own, and its driver refuses what does not fit.
        if not self._shared or left is None:
            return ""
        # Before the kernel acts: it may choose another process than the one that took the memory.
        if left < self._floor_mb():
            return f"the board, whose memory the GPU shares, had {left:.0f} MB left"
        taken = (self._start_left_mb or left) - left
        if limit is not None and taken > limit:
            return (
                f"the board, whose memory the GPU shares, lost {taken:.0f} MB to it, and "
                f"{limit:.0f} MB are allowed"
            )
        return ""

    def _held_mb(self) -> float | None:
        """What the child holds; None when it is gone."""
        fields = _fields_mb(self._status)
        return sum(fields.get(name, 0.0) for name in _HELD) if _HELD[0] in fields else None

    def _left_mb(self) -> float | None:
        return _fields_mb(self._meminfo).get("MemAvailable") if self._shared else None

    def _floor_mb(self) -> float:
        whole_mb = _fields_mb(self._meminfo).get("MemTotal", 0.0)
        return min(_LEAST_MB, _LEAST_SHARE * whole_mb)


def _fields_mb(path: Path) -> dict[str, float]:
    """The fields of a file of /proc that are in kB, in MB of 10**6."""
    found = {}
    for line in read(path).splitlines():
        name, _, value = line.partition(":")
        number, _, unit = value.strip().partition(" ")
        if unit == "kB" and number.isdigit():
            # The kernel writes kB and means KiB.
            found[name] = int(number) * 1024 / 1e6
    return found
