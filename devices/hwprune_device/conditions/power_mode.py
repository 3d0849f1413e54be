"""The power mode: what the board is set to spend, which decides its highest clocks.

NVIDIA Jetson: nvpmodel's mode, and whether jetson_clocks holds the clocks. x86: the platform
profile, and whether turbo is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwprune_device.conditions import tegra
from hwprune_device.conditions.clocks import all_cores, core_clocks
from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE, number, read, said

_MODE_LINE = re.compile(r"^\s*<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([^\s>]+)\s*>", re.MULTILINE)
_STATUS = re.compile(r"pmode:\s*0*(\d+)")
_QUERY = re.compile(r"NV Power Mode:\s*(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerMode:
    """The power mode; None for what the board does not have or does not report."""

    nvpmodel: str | None = None
    """Name of the Jetson's mode, such as "MAXN"."""
    nvpmodel_modes: Mapping[str, str] = field(default_factory=dict)
    """Names of the modes that it could be in, by number."""
    clocks_locked: bool | None = None
    """Whether jetson_clocks or its like holds cores and GPU at one clock; Jetson only."""
    platform_profile: str | None = None
    turbo: bool | None = None

    @property
    def text(self) -> str:
        """The mode in one line, or "unavailable"."""
        parts = []
        if self.nvpmodel is not None:
            parts.append(f"nvpmodel {self.nvpmodel}")
        if self.clocks_locked is not None:
            parts.append(f"clocks {'locked' if self.clocks_locked else 'free'}")
        if self.platform_profile is not None:
            parts.append(f"platform profile {self.platform_profile}")
        if self.turbo is not None:
            parts.append(f"turbo {'on' if self.turbo else 'off'}")
        return ", ".join(parts) or UNAVAILABLE

    @property
    def nvpmodel_highest(self) -> str | None:
        """Number of the mode without limits, MAXN_SUPER or MAXN; None where there is none.

        Numbers are in no order: an Orin Nano has 15W, 25W, MAXN_SUPER and 7W as 0 to 3.
        """
        limitless = [mode for mode, name in self.nvpmodel_modes.items() if name[:4] == "MAXN"]
        return max(limitless, key=lambda mode: "SUPER" in self.nvpmodel_modes[mode], default=None)

    @property
    def is_highest(self) -> bool | None:
        """Whether a Jetson is in its mode without limits; None where there is no such mode."""
        highest = self.nvpmodel_highest
        if self.nvpmodel is None or highest is None:
            return None
        return self.nvpmodel == self.nvpmodel_modes[highest]

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        fields = {
            "words": self.text,
            "nvpmodel": self.nvpmodel,
            "nvpmodel_modes": dict(self.nvpmodel_modes) or None,
            "nvpmodel_highest": self.nvpmodel_highest,
            "is_highest": self.is_highest,
            "clocks_locked": self.clocks_locked,
            "platform_profile": self.platform_profile,
            "turbo": self.turbo,
        }
        return {key: UNAVAILABLE if value is None else value for key, value in fields.items()}


def power_mode(root: Path = ROOT) -> PowerMode:
    """The mode that the board is in now."""
    modes = dict(_MODE_LINE.findall(read(root / "etc/nvpmodel.conf")))
    name = _nvpmodel(root, modes)
    profile = read(root / "sys/firmware/acpi/platform_profile")
    return PowerMode(
        nvpmodel=name,
        nvpmodel_modes=modes,
        clocks_locked=_clocks_locked(root) if name is not None else None,
        platform_profile=None if profile == UNAVAILABLE else profile,
        turbo=_turbo(root),
    )


def _nvpmodel(root: Path, modes: dict[str, str]) -> str | None:
    """The mode's name from nvpmodel's own note, which needs neither root nor a process."""
    match = _STATUS.search(read(root / "var/lib/nvpmodel/status"))
    if match:
        return modes.get(match[1], f"mode {match[1]}")
    query = _QUERY.search(said(root, ["nvpmodel", "-q"]))
    return query[1] if query else None


def _clocks_locked(root: Path) -> bool | None:
    """Whether lowest and highest clock are the same on all cores and on the GPU."""
    told = [
        clock.lowest_mhz == clock.highest_mhz
        for clock in core_clocks(all_cores(root), root)
        if clock.highest_mhz is not None
    ]
    if (gpu := tegra.gpu_clock(root)) is not None:
        told.append(gpu.pinned_mhz is not None)
    return all(told) if told else None


def _turbo(root: Path) -> bool | None:
    cpu = root / "sys/devices/system/cpu"
    if (off := number(cpu / "intel_pstate/no_turbo")) is not None:
        return not off
    boost = number(cpu / "cpufreq/boost")
    return None if boost is None else bool(boost)
