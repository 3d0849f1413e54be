"""Temperatures, and how far each is from where the board begins to slow itself down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE, milli, numbered, read

SLOWING = ("passive", "hot", "critical")
"""Kinds of trip points that cost speed; "active" ones only start a fan."""
RASPBERRY_PI_C = 80.0
"""From here the firmware of a Raspberry Pi throttles, which it does not tell Linux
(raspberrypi.com/documentation, "Frequency management and thermal control")."""
_LIKELY_C = (1.0, 250.0)
"""Drivers write 0 or -274 into trip points that are not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One thermal zone, in °C."""

    name: str
    temperature_c: float
    trip_c: float | None
    """Its lowest trip point that costs speed; None when it has none."""
    trip_kind: str = ""

    @property
    def below_trip_c(self) -> float | None:
        """Degrees left to the trip point, negative beyond it; None without one."""
        return None if self.trip_c is None else round(self.trip_c - self.temperature_c, 1)

    @property
    def text(self) -> str:
        """The zone in one line."""
        text = f"{self.name} {self.temperature_c:.1f} °C"
        if self.trip_c is None:
            return text
        return f"{text}, {self.trip_kind} trip point at {self.trip_c:g} °C"

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "zone": self.name,
            "temperature_c": self.temperature_c,
            "trip_c": UNAVAILABLE if self.trip_c is None else self.trip_c,
            "trip_kind": self.trip_kind or UNAVAILABLE,
            "below_trip_c": UNAVAILABLE if self.below_trip_c is None else self.below_trip_c,
        }


def zones(root: Path = ROOT) -> list[Zone]:
    """Return all thermal zones that can be read; one that is switched off is left out."""
    firmware_c = _firmware_limit_c(root)
    found = []
    for folder in numbered(root / "sys/class/thermal", "thermal_zone"):
        temperature = milli(folder / "temp")
        if temperature is None or not -60 < temperature < _LIKELY_C[1]:
            continue
        trips = _trips(folder)
        if firmware_c is not None:
            trips.append((firmware_c, "firmware"))
        trip, kind = min(trips, default=(None, ""))
        name = read(folder / "type")
        found.append(
            Zone(
                name=folder.name if name == UNAVAILABLE else name,
                temperature_c=temperature,
                trip_c=trip,
                trip_kind=kind,
            )
        )
    return found


def hottest(seen: Sequence[Zone]) -> Zone | None:
    """The zone with the highest temperature; None where there are no zones."""
    return max(seen, key=lambda zone: zone.temperature_c, default=None)


def tightest(seen: Sequence[Zone]) -> Zone | None:
    """The zone nearest to its trip point; None where none has one."""
    tripping = [zone for zone in seen if zone.trip_c is not None]
    return min(tripping, key=lambda zone: zone.below_trip_c or 0.0, default=None)


def _trips(folder: Path) -> list[tuple[float, str]]:
    """Trip points of a zone that cost speed: °C and kind."""
    found = []
    for path in folder.glob("trip_point_*_type"):
        kind = read(path)
        at = milli(path.with_name(path.name.replace("_type", "_temp")))
        if kind in SLOWING and at is not None and _LIKELY_C[0] <= at <= _LIKELY_C[1]:
            found.append((at, kind))
    return found


def _firmware_limit_c(root: Path) -> float | None:
    model = read(root / "proc/device-tree/model")
    return RASPBERRY_PI_C if model.startswith("Raspberry Pi") else None
