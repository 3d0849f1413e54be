"""NVIDIA's Tegra, the chip of a Jetson: what its kernel shows of it and of its GPU; never NVML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE, number, read

PREFIX = "nvidia,tegra"
_COMPATIBLE = ("proc/device-tree/compatible", "sys/firmware/devicetree/base/compatible")
_DEVFREQ = "sys/class/devfreq"
_GPUS = (".gpu", ".ga10b", ".gv11b", ".gp10b")
"""How the GPU's folder ends: plainly on newer kernels, by the GPU's own name on older ones."""
# The first on Jetsons with a BPMP, the second on older ones.
_EMC = (
    "sys/kernel/debug/bpmp/debug/clk/emc/rate",
    "sys/kernel/debug/clk/emc/clk_rate",
)
_RELEASE = re.compile(r"R(\d+) \(release\), REVISION: ([\d.]+)")


def compatible(root: Path = ROOT) -> str:
    """What the device tree says the board is compatible with: board and chip, most exact first."""
    told = (read(root / path) for path in _COMPATIBLE)
    return next((text for text in told if text != UNAVAILABLE), UNAVAILABLE)


def chip(root: Path = ROOT) -> str:
    """The chip, such as "tegra234"; empty where it is none."""
    words = (word for word in compatible(root).split() if word.startswith(PREFIX))
    return next((word.partition(",")[2] for word in words), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class DevfreqClock:
    """A clock of the kernel's devfreq, in MHz; None for what it does not report."""

    now_mhz: int | None
    lowest_mhz: int | None
    """The lowest that is allowed now."""
    highest_mhz: int | None
    """The highest that is allowed now."""

    @property
    def pinned_mhz(self) -> int | None:
        """The only clock that is allowed; None when it may change."""
        return self.highest_mhz if self.lowest_mhz == self.highest_mhz else None


def gpu_clock(root: Path = ROOT) -> DevfreqClock | None:
    """The clock of the integrated GPU; None where the kernel shows none."""
    for folder in sorted((root / _DEVFREQ).glob("*")):
        if folder.name.endswith(_GPUS):
            return DevfreqClock(
                now_mhz=_megahertz(folder / "cur_freq"),
                lowest_mhz=_megahertz(folder / "min_freq"),
                highest_mhz=_megahertz(folder / "max_freq"),
            )
    return None


def memory_mhz(root: Path = ROOT) -> int | None:
    """The clock of the memory controller, which its kernel shows to root alone on most boards."""
    rates = (_megahertz(root / path) for path in _EMC)
    return next((rate for rate in rates if rate is not None), None)


def release(root: Path = ROOT) -> str:
    """NVIDIA's Linux for Tegra, which the driver is part of, such as "L4T 36.4.3"."""
    match = _RELEASE.search(read(root / "etc/nv_tegra_release"))
    return f"L4T {match[1]}.{match[2]}" if match else UNAVAILABLE


def _megahertz(path: Path) -> int | None:
    """A clock in Hz in a file, as MHz."""
    value = number(path)
    return None if value is None or value <= 0 else round(value / 1e6)
