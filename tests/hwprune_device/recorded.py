"""Boards as small trees of files, as their kernels show them; written where a test wants them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

CPU = "sys/devices/system/cpu"
FLAGS = "sys/devices/platform/soc/soc:firmware/get_throttled"


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write a tree; what is there already stays, or is replaced file by file."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def program(root: Path, name: str, prints: str, code: int = 0) -> None:
    """A program that prints something and ends."""
    path = root / "usr/bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{prints}\nEND\nexit {code}\n")
    path.chmod(0o755)


def core(
    number: int, *, now: int, low: int, high: int, most: int, governor: str
) -> dict[str, str]:
    """The clock of a core, in MHz."""
    folder = f"{CPU}/cpu{number}/cpufreq"
    return {
        f"{folder}/scaling_cur_freq": f"{now * 1000}\n",
        f"{folder}/scaling_min_freq": f"{low * 1000}\n",
        f"{folder}/scaling_max_freq": f"{high * 1000}\n",
        f"{folder}/cpuinfo_max_freq": f"{most * 1000}\n",
        f"{folder}/scaling_governor": f"{governor}\n",
    }


def zone(number: int, name: str, temp_c: float, trips: Mapping[str, float]) -> dict[str, str]:
    """A thermal zone with one trip point of each kind given."""
    folder = f"sys/class/thermal/thermal_zone{number}"
    files = {f"{folder}/type": f"{name}\n", f"{folder}/temp": f"{round(temp_c * 1000)}\n"}
    for index, (kind, at) in enumerate(trips.items()):
        files[f"{folder}/trip_point_{index}_type"] = f"{kind}\n"
        files[f"{folder}/trip_point_{index}_temp"] = f"{round(at * 1000)}\n"
    return files


def raspberry_pi(root: Path, *, temp_c: float = 50.0, flags: str = "0") -> Path:
    """A Raspberry Pi 4: four equal cores, one zone, the firmware's flags in /sys."""
    files = {
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
        "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd\n"
        "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n",
        "proc/meminfo": "MemTotal: 3884360 kB\nMemAvailable: 3400000 kB\nSwapTotal: 102396 kB\n",
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
        f"{CPU}/modalias": "cpu:type:aarch64:feature:,0000,0001\n",
        FLAGS: f"{flags}\n",
        **zone(0, "cpu-thermal", temp_c, {"critical": 110.0}),
    }
    for number in range(4):
        files |= core(number, now=1500, low=600, high=1500, most=1500, governor="ondemand")
    return write(root, files)


def jetson(
    root: Path, *, mode: int = 2, locked: bool = True, temp_c: float = 48.0, gpu_mhz: int = 1020
) -> Path:
    """A Jetson Orin Nano: six cores, several zones, nvpmodel's note, over-current counters."""
    lines = (
        "# < POWER_MODEL ID=id_num NAME=mode_name >",
        "< POWER_MODEL ID=0 NAME=15W >",
        "CPU_ONLINE CORE_0 1",
        "< POWER_MODEL ID=1 NAME=25W >",
        "< POWER_MODEL ID=2 NAME=MAXN_SUPER >",
        "< PM_CONFIG DEFAULT=1 >",
    )
    events = "sys/devices/platform/soctherm-oc-event/hwmon/hwmon3"
    gpu = "sys/class/devfreq/17000000.gpu"
    files = {
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit\0",
        "proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0",
        "etc/nvpmodel.conf": "\n".join(lines) + "\n",
        "var/lib/nvpmodel/status": f"pmode:{mode:04d}",
        f"{events}/oc1_event_cnt": "0\n",
        f"{events}/oc3_event_cnt": "7\n",
        f"{gpu}/min_freq": f"{1020000000 if locked else 306000000}\n",
        f"{gpu}/max_freq": "1020000000\n",
        f"{gpu}/cur_freq": f"{gpu_mhz * 10**6}\n",
        "sys/kernel/debug/bpmp/debug/clk/emc/rate": "3199000000\n",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
        "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
        "sys/class/thermal/cooling_device0/cur_state": "3\n",
        "sys/class/thermal/cooling_device1/type": "cpu-throttle-alert\n",
        "sys/class/thermal/cooling_device1/cur_state": "0\n",
        "sys/class/thermal/cooling_device1/max_state": "1\n",
        **zone(0, "cpu-thermal", temp_c, {"passive": 99.0, "critical": 104.5}),
        **zone(1, "cv0-thermal", 0.0, {}),
        **zone(10, "tj-thermal", temp_c + 1, {"active": 35.0, "critical": 104.5}),
    }
    # A zone whose unit is switched off cannot be read; an unreadable number stands for that.
    files["sys/class/thermal/thermal_zone1/temp"] = "\n"
    for number in range(6):
        low = 1728 if locked else 115
        files |= core(number, now=1728, low=low, high=1728, most=1728, governor="schedutil")
    return write(root, files)


def laptop(root: Path, *, now: int = 3900, governor: str = "performance") -> Path:
    """An x86 machine with turbo: two cores, throttle counters, a platform profile."""
    files = {
        "sys/class/dmi/id/product_name": "ThinkStation P3\n",
        "sys/firmware/acpi/platform_profile": "balanced\n",
        f"{CPU}/modalias": "cpu:type:x86,ven0000fam0006mod00BA:feature:,0000\n",
        f"{CPU}/intel_pstate/no_turbo": "0\n",
        **zone(0, "acpitz", 27.8, {"critical": 0.0}),
        **zone(1, "x86_pkg_temp", 61.0, {"passive": -274.0}),
    }
    for number in range(2):
        files |= core(number, now=now, low=400, high=4700, most=4700, governor=governor)
        files[f"{CPU}/cpu{number}/cpufreq/base_frequency"] = "2500000\n"
        folder = f"{CPU}/cpu{number}/thermal_throttle"
        files[f"{folder}/core_throttle_count"] = "4\n"
        files[f"{folder}/package_throttle_count"] = "9\n"
    return write(root, files)
