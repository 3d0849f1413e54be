"""The GPU around a batch: its clocks, temperature and power, what holds it down, who else uses it.

A card is asked through NVML, a Jetson's GPU through files of its kernel. Used in a child alone:
the supervisor must not touch a driver before it forks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from hwprune_device.conditions import tegra
from hwprune_device.conditions.nvml import Gpu, open_gpu
from hwprune_device.conditions.sysfs import ROOT, UNAVAILABLE

POWER_CAP = "power cap"
HEAT = ("heat, by the driver", "heat, by the hardware")
_BITS = {
    0x2: "clocks set by the user",
    0x4: POWER_CAP,
    0x8: "hardware slowdown",
    0x10: "in step with other GPUs",
    0x20: HEAT[0],
    0x40: HEAT[1],
    0x80: "power brake",
    0x100: "clocks set for the display",
}
"""Bits of nvml.h's clock event reasons; its 0x1 says that nothing runs."""
SLOWING = (*HEAT, "hardware slowdown", "power brake")
"""What no GPU does while all is well; a power cap may be how it always runs."""
MARGIN_C = 5.0
"""Degrees below its slowdown temperature that a GPU should start with."""
LOW_SHARE = 0.75
"""A look below this share of the highest clock that was seen saw a GPU that had slowed down; what
NVBench throws away."""
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuState:
    """A GPU at one moment; None for what it does not report."""

    sm_mhz: int | None
    """Clock of what computes."""
    due_mhz: int | None
    """The clock it is pinned to; None when it may move."""
    highest_mhz: int | None
    memory_mhz: int | None = None
    temperature_c: float | None = None
    slowdown_c: float | None = None
    """From here on it slows itself down."""
    power_w: float | None = None
    power_limit_w: float | None = None
    reasons: tuple[str, ...] | None = None
    """What holds the clock where it is, in words."""
    held_down_ms: Mapping[str, float] = field(default_factory=dict)
    """Since the driver was loaded, by what held it."""
    process_ids: tuple[int, ...] | None = None
    """Processes that compute on it."""
    persistence: bool | None = None

    @property
    def obstacle(self) -> str:
        """Why a batch should not start now; an empty text when it may."""
        found = [
            f"the GPU is held down: {words}" for words in self.reasons or () if words in SLOWING
        ]
        if self.temperature_c is not None and self.slowdown_c is not None:
            left = self.slowdown_c - self.temperature_c
            if left < MARGIN_C:
                found.append(
                    f"GPU {self.temperature_c:.0f} °C, slows down from {self.slowdown_c:.0f} °C; "
                    f"{MARGIN_C:g} °C below it are wanted"
                )
        return "; ".join(found)

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        told = {name: UNAVAILABLE if v is None else v for name, v in plain.items()}
        lists = {n: list(v) for n, v in told.items() if isinstance(v, tuple)}
        return {**told, **lists, "held_down_ms": dict(self.held_down_ms) or UNAVAILABLE}


class GpuWatch:
    """Samples the GPU of a board: around a batch, and now and then while it runs.

    Raises:
        LookupError: there is no GPU that can be asked, and why.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._card: Gpu | None = None
        self._looks: list[tuple[int, tuple[str, ...]]] = []
        self._next_s = 0.0
        if tegra.chip(root):
            if tegra.gpu_clock(root) is None:
                raise LookupError("the kernel shows no clock of the GPU")
            return
        found = open_gpu()
        if isinstance(found, str):
            raise LookupError(found)
        self._card = found

    def state(self) -> GpuState:
        """The GPU now."""
        return _integrated(self._root) if self._card is None else _card(self._card)

    def glance(self) -> None:
        """Note down clock and reasons, unless that was done a moment ago; between two runs."""
        now = time.monotonic()
        if now < self._next_s:
            return
        self._next_s = now + _LOOK_S
        if self._card is None:
            clock = tegra.gpu_clock(self._root)
            mhz, reasons = clock.now_mhz if clock else None, None
        else:
            mhz, reasons = self._card.sm_mhz, reasons_of(self._card.clock_reasons)
        if mhz is not None:
            self._looks.append((mhz, reasons or ()))

    def seen(self) -> dict[str, Any]:
        """What all glances saw: clocks, and how many of them saw which reason."""
        if not self._looks:
            return {"looks": 0}
        clocks = [mhz for mhz, _ in self._looks]
        # Against the highest that this batch saw: what the GPU could do it may never reach.
        low = LOW_SHARE * max(clocks)
        reasons = Counter(words for _, told in self._looks for words in told)
        return {
            "looks": len(clocks),
            "sm_mhz": {
                "lowest": min(clocks),
                "median": round(median(clocks)),
                "highest": max(clocks),
            },
            "low_looks": sum(mhz < low for mhz in clocks),
            "reasons": dict(reasons),
        }


def reasons_of(bits: int | None) -> tuple[str, ...] | None:
    """Return the names of NVML's bits; None where it reports none."""
    return None if bits is None else tuple(words for bit, words in _BITS.items() if bits & bit)


def identity(root: Path = ROOT) -> dict[str, Any] | None:
    """What a GPU is, as far as it selects a latency; None where none can be asked."""
    if chip := tegra.chip(root):
        clock = tegra.gpu_clock(root)
        return {
            "name": f"integrated in {chip}",
            "driver": tegra.release(root),
            "pinned_mhz": (clock.pinned_mhz if clock else None) or "free",
        }
    card = open_gpu()
    if isinstance(card, str):
        return None
    told = {
        "name": card.name,
        "driver": card.driver,
        "cuda": card.cuda,
        "compute_capability": card.compute_capability,
        "memory_mb": None if card.memory_mb is None else round(card.memory_mb),
        "power_limit_w": None if card.power_limit_w is None else round(card.power_limit_w),
        "uuid": card.uuid,
        "persistence": card.persistence,
    }
    return {key: UNAVAILABLE if value is None else value for key, value in told.items()}


def _card(gpu: Gpu) -> GpuState:
    return GpuState(
        sm_mhz=gpu.sm_mhz,
        due_mhz=None,
        highest_mhz=gpu.highest_sm_mhz,
        memory_mhz=gpu.memory_mhz,
        temperature_c=gpu.temperature_c,
        slowdown_c=gpu.slowdown_c,
        power_w=gpu.power_w,
        power_limit_w=gpu.power_limit_w,
        reasons=reasons_of(gpu.clock_reasons),
        held_down_ms=gpu.held_down_ms,
        process_ids=gpu.process_ids,
        persistence=gpu.persistence,
    )


def _integrated(root: Path) -> GpuState:
    """Heat and power of a Jetson are the board's: thermal zones, power mode, over-current."""
    clock = tegra.gpu_clock(root)
    return GpuState(
        sm_mhz=clock.now_mhz if clock else None,
        due_mhz=clock.pinned_mhz if clock else None,
        highest_mhz=clock.highest_mhz if clock else None,
        memory_mhz=tegra.memory_mhz(root),
    )
