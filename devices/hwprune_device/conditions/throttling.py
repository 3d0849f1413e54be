"""Throttling: whether the board slows itself down, now or since it was started, and why.

Raspberry Pi: the firmware's flags. x86: counters of thermal throttling. NVIDIA Jetson: counters of
over-current events. Everywhere: cooling devices of the kernel that hold a clock down, and the CPU
quota of a container or service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwprune_device.conditions.quota import quota_counts
from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE, number, numbered, read, said

# Bits of the Raspberry Pi firmware's GET_THROTTLED, as `vcgencmd get_throttled` shows them.
UNDER_VOLTAGE = "under-voltage"
_FLAGS = (UNDER_VOLTAGE, "clock capped", "throttled", "soft temperature limit")
# The same four flags again, 16 bits up.
_SINCE_BOOT = 16
# What NVIDIA's soctherm counts as over-current event 1, 2 and 3 of Jetson Orin.
_EVENTS = {
    "oc1": "under-voltage (oc1)",
    "oc2": "average over-current (oc2)",
    "oc3": "instantaneous over-current (oc3)",
}
# Fans are cooling devices too, and cost no speed.
_COOLING = ("cpufreq", "thermal-cpufreq", "thermal-devfreq", "Processor")
_X86 = (("core_throttle_count", "core"), ("package_throttle_count", "package"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttling:
    """What the board reports of its own slowing down."""

    known: bool
    """False when the board has no way to tell, so that an empty `now` means nothing. A quota may
    be counted all the same."""
    now: tuple[str, ...] = ()
    """What holds at this moment, in words."""
    since_boot: tuple[str, ...] = ()
    """What has happened since the board was started, in words."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Events since the board was started, by what they are."""

    @property
    def slowing(self) -> tuple[str, ...]:
        """What of `now` may pass by itself. Low voltage does not: it calls for another supply, and
        the throttling that comes of it is reported beside it."""
        return tuple(words for words in self.now if words != UNDER_VOLTAGE)

    def to_json(self) -> dict[str, Any] | str:
        """Plain data for JSON; "unavailable" when the board reports nothing."""
        if not self.known and not self.counts:
            return UNAVAILABLE
        return {
            "now": list(self.now),
            "since_boot": list(self.since_boot),
            "counts": dict(self.counts),
        }


def throttling(cores: Sequence[int], root: Path = ROOT) -> Throttling:
    """Return what the board reports now; x86 counters are of `cores` and their packages."""
    flags = _firmware_flags(root)
    held = _held_down(root)
    counts = {**_x86_counts(cores, root), **_tegra_counts(root)}
    now: list[str] = []
    since: tuple[str, ...] = ()
    if flags is not None:
        now += flag_words(flags)
        since = flag_words(flags >> _SINCE_BOOT)
    # Without the firmware's flags the kernel still reports the voltage alone.
    elif (low := _low_voltage(root)) is not None:
        now += [UNDER_VOLTAGE] if low else []
        flags = 0
    return Throttling(
        known=flags is not None or held is not None or bool(counts),
        now=(*now, *(held or ())),
        since_boot=since,
        counts={**counts, **quota_counts(root)},
    )


def flag_words(flags: int) -> tuple[str, ...]:
    """Return the names of the lowest four bits of a Raspberry Pi's flags."""
    return tuple(words for bit, words in enumerate(_FLAGS) if flags >> bit & 1)


def _firmware_flags(root: Path) -> int | None:
    places = (root / "sys/devices/platform").glob("soc*/*firmware*/get_throttled")
    for path in sorted(places):
        # The kernel writes hexadecimal digits, with or without 0x.
        if (flags := _hexadecimal(read(path))) is not None:
            return flags
    return _hexadecimal(said(root, ["vcgencmd", "get_throttled"]).rpartition("=")[2])


def _hexadecimal(text: str) -> int | None:
    try:
        return int(text, 16)
    except ValueError:
        return None


def _low_voltage(root: Path) -> bool | None:
    """The alarm of the kernel's own driver for a Raspberry Pi's supply; None without one."""
    for folder in numbered(root / "sys/class/hwmon", "hwmon"):
        if read(folder / "name") == "rpi_volt":
            alarm = number(folder / "in0_lcrit_alarm")
            return None if alarm is None else alarm > 0
    return None


def _x86_counts(cores: Sequence[int], root: Path) -> dict[str, int]:
    """Thermal throttling, summed over the cores; a package's counter is the same on each."""
    found: dict[str, int] = {}
    for name, words in _X86:
        places = (
            root / f"sys/devices/system/cpu/cpu{core}/thermal_throttle/{name}" for core in cores
        )
        counts = [count for path in places if (count := number(path)) is not None]
        if counts:
            found[f"thermal throttling of the {words}"] = (
                sum(counts) if words == "core" else max(counts)
            )
    return found


def _tegra_counts(root: Path) -> dict[str, int]:
    places = (root / "sys/devices/platform").glob("soctherm-oc-event/hwmon/hwmon*/oc*_event_cnt")
    found = {}
    for path in sorted(places):
        name = path.name.partition("_")[0]
        if (count := number(path)) is not None:
            found[_EVENTS.get(name, f"over-current event ({name})")] = count
    return found


def _held_down(root: Path) -> tuple[str, ...] | None:
    """Return the cooling devices that hold a clock down; None where there are none at all."""
    seen = False
    held = []
    for folder in numbered(root / "sys/class/thermal", "cooling_device"):
        kind = read(folder / "type")
        if not kind.startswith(_COOLING) and "throttle-alert" not in kind:
            continue
        state, most = number(folder / "cur_state"), number(folder / "max_state")
        seen = seen or state is not None
        if state is not None and state > 0:
            held.append(f"the kernel holds {kind} down for heat (state {state} of {most or '?'})")
    return tuple(held) if seen else None
