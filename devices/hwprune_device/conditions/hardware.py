"""The hardware of a board, look by look, for a survey: processor, memory, sensors, accelerator."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwprune_device.conditions import tegra
from hwprune_device.conditions.clocks import all_cores, clusters, core_clocks
from hwprune_device.conditions.fingerprint import caches, cpu_info, emulated, model
from hwprune_device.conditions.gpu import identity
from hwprune_device.conditions.power_mode import power_mode
from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE, read, said
from hwprune_device.conditions.thermal import zones
from hwprune_device.conditions.throttling import throttling


def probes(root: Path = ROOT) -> dict[str, Callable[[], Any]]:
    """Return the probes of a survey, by topic; one that raises counts as "unavailable"."""
    return {
        "model": lambda: model(root),
        "soc": lambda: tegra.compatible(root),
        "processor": lambda: processor(root),
        "clusters": lambda: clusters(root),
        "caches": lambda: caches(all_cores(root)[:1], root),
        "clocks": lambda: clocks(root),
        "memory_mb": lambda: memory_mb(root),
        "thermal_zones": lambda: [zone.to_json() for zone in zones(root)],
        "power_mode": lambda: power_mode(root).to_json(),
        "throttling": lambda: throttling(all_cores(root), root).to_json(),
        "energy_sensors": lambda: energy_sensors(root),
        "gpu": lambda: gpu(root),
        "gpu_driver": lambda: gpu_driver(root),
        "emulated": lambda: emulated(root),
        "boot_id": lambda: read(root / "proc/sys/kernel/random/boot_id"),
    }


def os_name(root: Path = ROOT) -> str:
    """The distribution's own name for itself, such as "Debian GNU/Linux 12 (bookworm)"."""
    for line in read(root / "etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip("\"'")
    return UNAVAILABLE


def processor(root: Path = ROOT) -> dict[str, Any]:
    """Name of the first core, and how many cores there are and are switched on."""
    cpu = cpu_info(root)
    name = cpu.get("model name")
    # Arm kernels write numbers in place of a name.
    if name is None and "CPU part" in cpu:
        name = f"Arm implementer {cpu.get('CPU implementer', '?')}, part {cpu['CPU part']}"
    online = read(root / "sys/devices/system/cpu/online")
    return {
        "name": name or UNAVAILABLE,
        "cores": len(all_cores(root)) or os.cpu_count() or UNAVAILABLE,
        "online": online,
    }


def clocks(root: Path = ROOT) -> dict[str, Any]:
    """Governors, and the range of clocks now allowed, over all cores."""
    told = core_clocks(all_cores(root), root)
    governors = sorted({c.governor for c in told if c.governor != UNAVAILABLE})
    lowest = [c.lowest_mhz for c in told if c.lowest_mhz is not None]
    highest = [c.highest_mhz for c in told if c.highest_mhz is not None]
    return {
        "governors": governors or UNAVAILABLE,
        "lowest_mhz": min(lowest, default=None) or UNAVAILABLE,
        "highest_mhz": max(highest, default=None) or UNAVAILABLE,
    }


def memory_mb(root: Path = ROOT) -> dict[str, Any]:
    """Memory and swap in MB of 10**6, from /proc/meminfo; a swap of 0 means there is none."""
    pairs = (line.split(":", 1) for line in read(root / "proc/meminfo").splitlines())
    fields = {pair[0]: pair[1].split()[0] for pair in pairs if len(pair) == 2}
    names = {"ram": "MemTotal", "available": "MemAvailable", "swap": "SwapTotal"}
    return {
        key: int(fields[name]) * 1024 // 10**6 if name in fields else UNAVAILABLE
        for key, name in names.items()
    }


def energy_sensors(root: Path = ROOT) -> dict[str, Any]:
    """Return the names of energy sensors; a RAPL counter often needs root to be read."""
    rapl = [
        {
            "name": read(folder / "name"),
            "readable": os.access(folder / "energy_uj", os.R_OK),
        }
        for folder in sorted((root / "sys/class/powercap").glob("*"))
        if (folder / "energy_uj").exists()
    ]
    monitors = (root / "sys/bus/i2c/drivers").glob("ina3221*/*/hwmon/hwmon*")
    rails = [read(label) for place in monitors for label in sorted(place.glob("in*_label"))]
    return {
        "rapl": rapl or UNAVAILABLE,
        "ina3221": rails or UNAVAILABLE,
        "nvidia_smi": said(root, ["nvidia-smi", "-L"]) != UNAVAILABLE,
    }


def gpu(root: Path = ROOT) -> str:
    """Name of an NVIDIA GPU: a card's own, or the Jetson's chip."""
    if chip := tegra.chip(root):
        return f"integrated in {chip}"
    names = said(root, ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    return names if names == UNAVAILABLE else ", ".join(names.splitlines())


def gpu_driver(root: Path = ROOT) -> dict[str, Any]:
    """Return what a driver reports; empty for a recorded board, of which NVML knows nothing."""
    if not tegra.chip(root) and root != ROOT:
        return {}
    return identity(root) or {}
