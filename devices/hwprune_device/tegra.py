"""NVIDIA's Tegra, the chip of a Jetson: told from others by the device tree, never by NVML."""

from __future__ import annotations

from pathlib import Path

from hwprune_device.sysfs import ROOT, UNAVAILABLE, read

PREFIX = "nvidia,tegra"
_COMPATIBLE = ("proc/device-tree/compatible", "sys/firmware/devicetree/base/compatible")


def compatible(root: Path = ROOT) -> str:
    """What the device tree says the board is compatible with: board and chip, most exact first."""
    told = (read(root / path) for path in _COMPATIBLE)
    return next((text for text in told if text != UNAVAILABLE), UNAVAILABLE)


def chip(root: Path = ROOT) -> str:
    """The chip, such as "tegra234"; empty where it is none."""
    words = (word for word in compatible(root).split() if word.startswith(PREFIX))
    return next((word.partition(",")[2] for word in words), "")
