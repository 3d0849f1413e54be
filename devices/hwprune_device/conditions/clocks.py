"""Clocks of the cores, and the clusters that cores of one kind form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE, megahertz, number, numbered, read

_CPU = "sys/devices/system/cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreClock:
    """The clock of one core in MHz; None for what the system does not report."""

    core: int
    now_mhz: int | None
    lowest_mhz: int | None
    """The lowest that is allowed now."""
    highest_mhz: int | None
    """The highest that is allowed now."""
    most_mhz: int | None
    """The highest that the hardware has."""
    sustained_mhz: int | None
    """What an x86 core keeps under load without turbo; None where there is no turbo."""
    governor: str

    @property
    def pinned_mhz(self) -> int | None:
        """The only clock that is allowed; None when it may change."""
        return self.highest_mhz if self.lowest_mhz == self.highest_mhz else None

    @property
    def due_mhz(self) -> int | None:
        """The clock that a busy core should have; None when nothing is promised.

        With turbo the highest clock is for a few cores and moments, so only the sustained one is.
        """
        if self.pinned_mhz is None and self.governor != "performance":
            return None
        told = [mhz for mhz in (self.highest_mhz, self.sustained_mhz) if mhz is not None]
        return min(told) if told else None


def core_clock(core: int, root: Path = ROOT) -> CoreClock:
    """The clock of one core."""
    folder = root / _CPU / f"cpu{core}"
    frequency = folder / "cpufreq"
    # Intel in kHz, AMD by ACPI in MHz.
    base = megahertz(frequency / "base_frequency") or number(folder / "acpi_cppc/nominal_freq")
    return CoreClock(
        core=core,
        now_mhz=megahertz(frequency / "scaling_cur_freq"),
        lowest_mhz=megahertz(frequency / "scaling_min_freq"),
        highest_mhz=megahertz(frequency / "scaling_max_freq"),
        most_mhz=megahertz(frequency / "cpuinfo_max_freq"),
        sustained_mhz=base or None,
        governor=read(frequency / "scaling_governor"),
    )


def core_clocks(cores: Sequence[int], root: Path = ROOT) -> list[CoreClock]:
    """The clocks of some cores, in their order."""
    return [core_clock(core, root) for core in cores]


def all_cores(root: Path = ROOT) -> list[int]:
    """Numbers of the cores that the system shows, also those that are switched off."""
    return [int(path.name[3:]) for path in numbered(root / _CPU, "cpu")]


def clusters(root: Path = ROOT) -> list[dict[str, Any]]:
    """Cores that are on and alike, the fastest first: numbers, capacity and highest MHz."""
    groups: dict[tuple[int, int], list[int]] = {}
    for core in all_cores(root):
        # cpu0 has no such file on most boards, and is on.
        if number(root / _CPU / f"cpu{core}" / "online") == 0:
            continue
        capacity = number(root / _CPU / f"cpu{core}" / "cpu_capacity") or 0
        most = core_clock(core, root).most_mhz or 0
        # Capacity is Arm's (big.LITTLE); on x86 the highest clock tells efficient cores apart.
        groups.setdefault((capacity, most), []).append(core)
    return [
        {
            "cores": cores,
            "capacity": capacity or UNAVAILABLE,
            "max_mhz": most or UNAVAILABLE,
        }
        for (capacity, most), cores in sorted(groups.items(), reverse=True)
    ]
