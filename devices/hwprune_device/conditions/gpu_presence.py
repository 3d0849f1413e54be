"""Whether this board has an NVIDIA GPU and a target runs on it, without touching its driver.

A supervisor asks before it forks: once a driver was touched, CUDA does not survive the fork.
"""

from __future__ import annotations

from pathlib import Path

from hwprune_device.conditions import tegra
from hwprune_device.conditions.sysfs import ROOT
from hwprune_device.job import Target
from hwprune_device.runtimes.registry import known_facts

# There once the driver is loaded; that they exist is all that is asked.
_NODES = ("dev/nvidiactl", "proc/driver/nvidia/version")


def has_gpu(root: Path = ROOT) -> bool:
    """Whether there is a driver for one: a card's, or the Jetson's own."""
    return bool(tegra.chip(root)) or any((root / node).exists() for node in _NODES)


def on_gpu(target: Target, *, present: bool) -> bool:
    """Whether a target's networks run on the GPU; `present`: whether the board has one."""
    facts = known_facts(target.runtime)
    return facts is not None and facts.on_gpu(target.options, present=present)
