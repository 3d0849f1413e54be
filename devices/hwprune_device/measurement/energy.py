"""Energy of an inference: from a counter or a power meter that the board itself has.

A board without one gives None and says why; an absent sensor is never 0. What is read is the total
of a package or a board over the time a network runs without a pause, idle power and other
processes included.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hwprune_device.conditions.gpu_presence import has_gpu, on_gpu
from hwprune_device.conditions.nvml import find_gpu
from hwprune_device.conditions.sysfs import read
from hwprune_device.job import Target

ROOT = Path("/")
"""Where /sys is looked for."""
_LEAST_UPDATES = 10
"""Changes of a counter that an energy must rest on."""
LEAST_LOOKS = _LEAST_UPDATES + 1
_BLOCK_MS = 5.0
"""A look at a sensor costs up to 0.1 ms: short networks run this long between two looks."""
_PATIENCE = 3
"""Times the wanted seconds, after which a counter that moves too rarely is given up."""
_SAMPLE_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Energy of one inference in mJ, or None; and where it comes from, or why it is missing."""

    energy_mj: float | None
    source: str


class Sensor(Protocol):
    """Adds up the energy that is used."""

    source: str

    def start(self) -> None:
        """Begin to add up."""

    def total_mj(self) -> float:
        """Millijoules since `start`; called often enough that a counter wraps once at most."""

    def stop(self) -> None:
        """Add up no longer."""


class RaplCounter:
    """The energy counters of processor packages (and of memory, where that is one of its own)."""

    def __init__(self, zones: list[Path]) -> None:
        names = ", ".join(read(zone / "name") for zone in zones)
        self.source = f"RAPL, total of {names}: idle power and other processes included"
        self._zones = zones
        self._range_uj = [_number(zone / "max_energy_range_uj") for zone in zones]
        self._last_uj: list[int] = []
        self._total_uj = 0

    def start(self) -> None:
        """Take the counters as they are for 0."""
        self._last_uj, self._total_uj = self._read(), 0

    def total_mj(self) -> float:
        """Millijoules since `start`; a counter that became smaller has wrapped."""
        now = self._read()
        # Minutes of full load pass before one wraps: once at most between two readings.
        for value, last, whole in zip(now, self._last_uj, self._range_uj, strict=True):
            self._total_uj += value - last if value >= last else value - last + whole
        self._last_uj = now
        return self._total_uj / 1e3

    def stop(self) -> None:
        """Nothing to do."""

    def _read(self) -> list[int]:
        return [_number(zone / "energy_uj") for zone in self._zones]


class PowerMeter:
    """Volts times amperes of a board's supply (INA3221), sampled and added up over time."""

    def __init__(self, millivolts: Path, milliamperes: Path) -> None:
        self.source = (
            "INA3221, total of the board's supply VDD_IN: idle power and other processes included"
        )
        self._millivolts, self._milliamperes = millivolts, milliamperes
        self._total_mj = 0.0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Sample from now on, beside the network: a long inference must not go unseen."""
        self._total_mj = 0.0
        self._ended.clear()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def total_mj(self) -> float:
        """Millijoules since `start`."""
        with self._lock:
            return self._total_mj

    def stop(self) -> None:
        """End the sampling."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _sample(self) -> None:
        # A meter that stops answering moves no more, which whoever asks for the total will see.
        with contextlib.suppress(OSError):
            last_s, last_w = time.monotonic(), self._watts()
            while not self._ended.wait(_SAMPLE_S):
                now_s, now_w = time.monotonic(), self._watts()
                with self._lock:
                    # Trapezoids: W times s is J, and 1e3 mJ are one.
                    self._total_mj += (now_w + last_w) / 2 * (now_s - last_s) * 1e3
                last_s, last_w = now_s, now_w

    def _watts(self) -> float:
        # mV times mA is microwatts.
        return _number(self._millivolts) * _number(self._milliamperes) / 1e6


def find_sensor(target: Target, root: Path | None = None) -> Sensor | str:
    """Return the sensor that sees a target's work; where there is none, a message that says why.

    The supply of a whole board comes first, then the GPU where the target runs on one, then the
    processor package. `root` is where /sys is looked for.
    """
    root = root or ROOT
    # It sees CPU, GPU and memory of a Jetson at once, and no RAPL or NVML is there.
    meter = _find_ina3221(root)
    if meter is not None:
        return meter
    if on_gpu(target, present=has_gpu(root)):
        return find_gpu()
    return _find_rapl(root)


def measure_energy(
    sensor: Sensor, run: Callable[[], None], seconds: float, inference_ms: float = math.inf
) -> Energy:
    """Run without a pause for `seconds`, longer where the network or the sensor is slow.

    Energy and runs are counted between the first and the last change of the sensor that was seen,
    so that what a counter does not show yet counts neither. `inference_ms` is about what a
    run takes; the more often a short network runs between two looks, the less the looks cost.
    """
    # An unknown time (infinite) gives blocks of one run.
    block = max(1, math.ceil(_BLOCK_MS / inference_ms))
    sensor.start()
    try:
        begin = time.monotonic()
        runs = updates = 0
        total_mj = sensor.total_mj()
        # (millijoules, runs) at the first and the last change that was seen.
        first: tuple[float, int] | None = None
        last = (total_mj, 0)
        while (
            (spent := time.monotonic() - begin) < seconds
            or runs < LEAST_LOOKS * block
            or (updates < _LEAST_UPDATES and spent < _PATIENCE * seconds)
        ):
            for _ in range(block):
                run()
            runs += block
            now_mj = sensor.total_mj()
            # Counters move in steps of ms: only where one moved are energy and runs of one moment.
            if now_mj != total_mj:
                total_mj, last, updates = now_mj, (now_mj, runs), updates + 1
                first = first or last
    finally:
        sensor.stop()
    if updates < _LEAST_UPDATES or first is None or last[1] == first[1]:
        said = f"{sensor.source}; it moved {updates} times in {spent:.1f} s, which is too rarely"
        return Energy(energy_mj=None, source=said)
    return Energy(
        energy_mj=(last[0] - first[0]) / (last[1] - first[1]),
        source=f"{sensor.source}; {last[1] - first[1]} inferences without a pause",
    )


def _find_ina3221(root: Path) -> PowerMeter | None:
    """The supply of a Jetson, whose channel is called VDD_IN."""
    for label in sorted(root.glob("sys/class/hwmon/hwmon*/in*_label")):
        if read(label) != "VDD_IN" or read(label.parent / "name") != "ina3221":
            continue
        # in1_label names the rail whose volts are in1_input and whose amperes are curr1_input.
        channel = label.name.removeprefix("in").removesuffix("_label")
        volts, amperes = label.parent / f"in{channel}_input", label.parent / f"curr{channel}_input"
        if read(volts).isdigit() and read(amperes).isdigit():
            return PowerMeter(volts, amperes)
    return None


def _find_rapl(root: Path) -> RaplCounter | str:
    """Package domains, and memory where the package does not have it in its own count."""
    zones = sorted(root.glob("sys/class/powercap/intel-rapl:*"))
    wanted = [z for z in zones if read(z / "name").startswith("package") or _is_dram(z)]
    if not wanted:
        return "the board has no energy sensor that is known: no RAPL package, no INA3221 supply"
    for zone in wanted:
        files = (zone / "energy_uj", zone / "max_energy_range_uj")
        if not all(read(file).isdigit() for file in files):
            # Since 2020 the kernel gives it to root alone.
            return f"the board's energy counter {zone / 'energy_uj'} cannot be read by this user"
    return RaplCounter(wanted)


def _is_dram(zone: Path) -> bool:
    return read(zone / "name") == "dram"


def _number(path: Path) -> int:
    """The number in a file of a sensor.

    Raises:
        OSError: there is none any more.
    """
    text = read(path)
    if not text.isdigit():
        raise OSError(f"{path} has no number")
    return int(text)
