"""The fingerprint of a board: what it is, as far as that selects a latency, and its key.

Whatever a board does not report is recorded as "unavailable", which is a value; blank is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from hwprune_device import PROTOCOL
from hwprune_device.conditions.clocks import CoreClock, core_clocks
from hwprune_device.conditions.gpu_presence import on_gpu
from hwprune_device.conditions.power_mode import power_mode
from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE, read
from hwprune_device.job import Target
from hwprune_device.runtimes.registry import normal_options

_CPU_KEYS = (
    "vendor_id",
    "cpu family",
    "model",
    "model name",
    "stepping",
    "CPU implementer",
    "CPU part",
    "CPU revision",
)
_KEYED = ("machine", "cpu", "cpu_flags", "caches", "governor", "pinned_mhz")
_KEYED_IF_THERE = ("power_mode", "emulated")
"""In the key only where they say something, so that other boards keep the keys they had."""
_KEYED_OF_GPU = ("name", "driver", "memory_mb", "power_limit_w", "pinned_mhz")
"""In the key of targets that run on the GPU."""
_MODEL_FILES = (
    "proc/device-tree/model",
    "sys/firmware/devicetree/base/model",
    "sys/class/dmi/id/product_name",
)


def fingerprint(cores: Sequence[int], root: Path = ROOT) -> dict[str, Any]:
    """What the board is, as far as it changes latency, and the versions that ran."""
    cpu = cpu_info(root)
    flags = cpu.get("flags") or cpu.get("Features") or ""
    clocks = core_clocks(cores, root)
    return {
        "machine": platform.machine(),
        "model": model(root),
        "emulated": emulated(root),
        "cpu": {name: cpu.get(name, UNAVAILABLE) for name in _CPU_KEYS},
        # Sorted, as kernels list them differently; a hash, as there are over a hundred.
        "cpu_flags": hashlib.sha256(" ".join(sorted(flags.split())).encode()).hexdigest()[:16],
        "caches": caches(cores, root),
        "governor": [clock.governor for clock in clocks],
        "pinned_mhz": [_pinned(clock) for clock in clocks],
        "power_mode": power_mode(root).text,
        "cores": list(cores),
        "core_count": os.cpu_count(),
        "ram_mb": ram_mb(),
        "kernel": platform.release(),
        "os": platform.system(),
        "hypervisor": "hypervisor" in flags.split(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "onnx": version("onnx"),
    }


_OFFERED = "providers"
"""What a runtime could do beside what the target asks for; it changes no latency."""


def selecting(runtime: Mapping[str, Any]) -> dict[str, Any]:
    """What a runtime says of itself, without what it could do besides."""
    return {name: value for name, value in runtime.items() if name != _OFFERED}


def conditions_key(
    board: Mapping[str, Any],
    runtime: Mapping[str, Any],
    target: Mapping[str, Any],
    *,
    energy: bool = False,
) -> str:
    """The part of the conditions that selects a latency, as a hash.

    `board` is a `fingerprint`, `runtime` what the runtime says of itself (version and build),
    `target` the plain data of a Target. Load, temperature, kernel and names are not in it, nor
    which of several equal cores is used, nor whether a default was written out. Readings that
    have an energy (`energy`) are apart from those that were never asked for one.
    """
    options = normal_options(
        target.get("runtime", ""),
        target.get("options", {}),
        target.get("threads", 1),
        target.get("precision", "fp32"),
    )
    keyed = {name: board.get(name, UNAVAILABLE) for name in _KEYED}
    there = {name: board.get(name, UNAVAILABLE) for name in _KEYED_IF_THERE}
    # `emulated` is a truth value: False says nothing, as "unavailable" does.
    keyed |= {name: value for name, value in there.items() if value not in (UNAVAILABLE, False)}
    gpu = board.get("gpu")
    if isinstance(gpu, Mapping) and _on_gpu(target, runtime):
        keyed["gpu"] = {name: gpu[name] for name in _KEYED_OF_GPU if name in gpu}
    parts = {
        "protocol": PROTOCOL,
        "board": keyed,
        "used_cores": len(board.get("cores", ())),
        "runtime": selecting(runtime),
        "target": {**target, "options": options},
        **({"energy": True} if energy else {}),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _on_gpu(target: Mapping[str, Any], runtime: Mapping[str, Any]) -> bool:
    """As the board understood the target: what "auto" means stands in a runtime's description."""
    wanted = Target(runtime=str(target.get("runtime", "")), options=target.get("options", {}))
    return on_gpu(wanted, present=runtime.get("auto") == "cuda")


def model(root: Path = ROOT) -> str:
    """The board's name as its maker wrote it: from the device tree, or from DMI."""
    told = (read(root / path) for path in _MODEL_FILES)
    return next((text for text in told if text != UNAVAILABLE), UNAVAILABLE)


def emulated(root: Path = ROOT, machine: str | None = None) -> bool:
    """Whether this program runs on an emulated processor, as under qemu-user.

    The emulator translates a program's instructions and its own answer to "which machine?", but
    /sys is the real kernel's. Times read here say nothing about the board that is pretended.
    """
    ours = _family(machine or platform.machine())
    kernels = _family(_modalias_type(read(root / "sys/devices/system/cpu/modalias")))
    if not kernels:
        kernels = _cpuinfo_family(cpu_info(root))
    return bool(ours and kernels and ours != kernels)


def cpu_info(root: Path = ROOT) -> dict[str, str]:
    """The first core's fields of /proc/cpuinfo."""
    first = read(root / "proc/cpuinfo").split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def caches(cores: Sequence[int], root: Path = ROOT) -> list[str]:
    """Caches of the first of the cores, such as "L2 Unified 1024K"."""
    if not cores:
        return []
    folder = root / f"sys/devices/system/cpu/cpu{cores[0]}/cache"
    return [
        f"L{read(index / 'level')} {read(index / 'type')} {read(index / 'size')}"
        for index in sorted(folder.glob("index*"))
    ]


def ram_mb() -> int | str:
    """Memory of the machine in MB."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10**6
    except (ValueError, OSError):
        return UNAVAILABLE


def version(package: str) -> str:
    """Version of a package that is installed here, without importing it."""
    # Of what is imported, which may be another than what is installed on disk by now.
    if package in sys.modules:
        return str(getattr(sys.modules[package], "__version__", UNAVAILABLE))
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return UNAVAILABLE


def _pinned(clock: CoreClock) -> int | str:
    """The clock in MHz when lowest and highest allowed are the same, else "free"."""
    if clock.lowest_mhz is None or clock.highest_mhz is None:
        return UNAVAILABLE
    return clock.pinned_mhz or "free"


def _modalias_type(modalias: str) -> str:
    """ "x86" of "cpu:type:x86,ven0000fam0006mod008F:feature:,0000"."""
    text = modalias.partition("cpu:type:")[2]
    return text.replace(",", ":").partition(":")[0]


def _cpuinfo_family(cpu: Mapping[str, str]) -> str:
    if "CPU implementer" in cpu or "Features" in cpu:
        return "arm"
    if "vendor_id" in cpu and "flags" in cpu:
        return "x86"
    return "riscv" if "isa" in cpu else ""


def _family(machine: str) -> str:
    """Architectures that a processor runs without an emulator share a family; "" if unknown."""
    if machine in ("x86", "x86_64", "AMD64") or machine in ("i386", "i486", "i586", "i686"):
        return "x86"
    if machine.startswith(("aarch64", "arm", "v6", "v7", "v8")):
        return "arm"
    families = ("riscv", "ppc", "s390", "mips", "loongarch", "sparc")
    return next((family for family in families if machine.startswith(family)), "")
