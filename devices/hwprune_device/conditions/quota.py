"""CPU quota: how often the kernel stopped this process because its control groups had used up
what they may take of the processor in a period, as a container or a service is limited."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE, read

STOPPED = "throttling by the CPU quota of its control group"
_MOUNT = "sys/fs/cgroup"


def quota_counts(root: Path = ROOT) -> dict[str, int]:
    """Periods in which a quota ran out, summed over the group of this process and those above it;
    empty where no quota was ever in force."""
    stats = [_numbers(group / "cpu.stat") for group in _groups(root)]
    # Without a quota no periods are counted.
    stopped = [stat.get("nr_throttled", 0) for stat in stats if stat.get("nr_periods", 0) > 0]
    return {STOPPED: sum(stopped)} if stopped else {}


def _groups(root: Path) -> list[Path]:
    """The folders of the groups that may limit the processor for this process."""
    found: dict[Path, None] = {}
    for line in read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        # cgroup v2; beside v1 its tree may be mounted one level down.
        if number == "0" and not controllers:
            names = [_MOUNT, f"{_MOUNT}/unified"]
        elif "cpu" in controllers.split(","):
            names = [f"{_MOUNT}/{controllers}", f"{_MOUNT}/cpu"]
        else:
            continue
        for name in names:
            found |= dict.fromkeys(_up_from(root / name, path))
    # Several names lead to one folder where v1 controllers are joined: counted once.
    return list({group.resolve(): None for group in found})


def _up_from(mount: Path, path: str) -> list[Path]:
    """A group's folder and those above it, up to the mount.

    A container may be shown the path as its host has it, while its own group is the mount.
    """
    inside = PurePosixPath(path.lstrip("/"))
    if ".." in inside.parts:
        return [mount]
    return [mount / above for above in (inside, *inside.parents)]


def _numbers(path: Path) -> dict[str, int]:
    """A file of names and whole numbers, a pair on each line."""
    text = read(path)
    if text == UNAVAILABLE:
        return {}
    pairs = (line.partition(" ") for line in text.splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdigit()}
