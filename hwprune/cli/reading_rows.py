"""What readings of one network say, as rows of a name and a text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwprune.report import figures

if TYPE_CHECKING:
    from hwprune_device.reading import Memory, Reading

Row = tuple[str, str]
_HOST_CLOCKS = {
    "host": "the host's clock, inputs and outputs on the GPU",
    "transfers": "the host's clock, copies to and from the GPU included",
}
_CLOCKS = {
    "thread_cpu": "the thread-CPU clock",
    "wall": "the wall clock",
    "device": "the device's own clock",
}


def reading_rows(data: Mapping[str, Any], readings: Sequence[Reading]) -> list[Row]:
    """All that fits a terminal; the rest is in --json.

    Args:
        data: what the readings say together, from `Measured.to_json`.
        readings: of one network on one board, the last of them last.
    """
    last = readings[-1]
    runs = sum(len(visit) for r in readings for visit in r.runs_ms)
    return [
        (
            "latency",
            f"{figures.ms(data['latency_ms'])}   95 % interval "
            f"{figures.spread_ms(data['low_ms'], data['high_ms'])} ms",
        ),
        *((f"  {name}", figures.ms(q["value"])) for name, q in data["quantiles_ms"].items()),
        ("readings", f"{len(readings)}, {runs} runs on {_clock(last)}"),
        ("  interval", last.interval_source),
        *_clock_rows(last),
        ("memory", _memory_words(last.memory)),
        *_memory_rows(last),
        *_energy_rows(data),
        *_build_rows(last),
        ("model file", figures.megabytes(last.model_mb)),
        ("conditions", _conditions(last)),
    ]


def _clock(reading: Reading) -> str:
    # Of a GPU the host has two clocks, and the target's options say which.
    if reading.clock == "wall" and reading.device_ms is not None:
        latency = reading.target.get("options", {}).get("latency", "host")
        return _HOST_CLOCKS.get(latency, _CLOCKS["wall"])
    return _CLOCKS[reading.clock]


def _clock_rows(reading: Reading) -> list[Row]:
    """What other clocks say of the same network, where a GPU runs it."""
    times = _part(reading, "times_ms")
    if times:
        words = {"device": "GPU alone", "host": "host", "transfers": "with copies"}
        said = [f"{words[name]} {figures.ms(times[name])}" for name in words if name in times]
        return [("  clocks", ", ".join(said))]
    if reading.device_ms is None:
        return []
    return [("  clocks", f"GPU alone {figures.ms(reading.device_ms)}")]


def _memory_words(memory: Memory) -> str:
    weights = f"weights {figures.megabytes(memory.weights_mb)}"
    if memory.peak_mb is None:
        return f"{figures.NOT_TOLD} by this runtime; {weights}"
    activations = f"activations {figures.megabytes(memory.activations_mb)}"
    return f"{figures.megabytes(memory.peak_mb)} = {weights} + {activations}"


def _memory_rows(reading: Reading) -> list[Row]:
    """What the allocator held, or the parts of what lies on the GPU."""
    parts = _part(reading, "gpu_memory_mb")
    if not parts:
        return [("  arena", figures.memory(reading.memory.arena_mb, measured=True))]
    said = [f"{name.replace('_', ' ')} {figures.megabytes(mb)}" for name, mb in parts.items()]
    return [("  on the GPU", ", ".join(said))]


def _energy_rows(data: Mapping[str, Any]) -> list[Row]:
    """Nothing where energy was not asked for; why not, where it could not be read."""
    if not data["energy_source"]:
        return []
    millijoules = figures.millijoules(data["energy_mj"])
    return [("energy", millijoules), ("  source", data["energy_source"])]


def _build_rows(reading: Reading) -> list[Row]:
    """How long it took to be ready, and the story of its engine where it has one."""
    story = _part(reading, "build")
    if "seconds" not in story:
        return [("build", figures.seconds(reading.build_s))]
    kept = ", kept on the board since; ready in " if story.get("cached") else "; ready in "
    words = f"engine {figures.seconds(story['seconds'])}{kept}{figures.seconds(reading.build_s)}"
    if story.get("gpu_peak_mb"):
        words += f"; took {figures.megabytes(story['gpu_peak_mb'])} of the GPU's memory"
    rows = [("build", words)]
    if fell_back := story.get("fell_back"):
        rows.append(("  not on DLA", ", ".join(fell_back)))
    if builds := _part(reading, "builds"):
        count, spread = len(builds["device_ms"]), builds["variation_pct"]
        rows.append(("  builds", f"{count}, whose times differ by {spread:.1f} %"))
    if engine := reading.conditions.get("engine"):
        rows.append(("  engine", str(engine)))
    return rows


def _conditions(reading: Reading) -> str:
    """What ran beside the reading, and the GPU's clock, in one line."""
    said = []
    for key, words in (("other_cpu_share", "other processes"), ("steal_share", "hypervisor")):
        share = reading.conditions.get(key)
        if isinstance(share, float):
            said.append(f"{words} took {figures.percent(share, 1)} of the cores' time")
    if clocks := _part(reading, "gpu_between").get("sm_mhz"):
        span = sorted({clocks["lowest"], clocks["highest"]})
        said.append(f"GPU at {' to '.join(map(str, span))} MHz")
    mode = _part(reading, "board").get("power_mode", "unavailable")
    if mode != "unavailable":
        said.append(str(mode))
    return "; ".join(said) or "not told by the board"


def _part(reading: Reading, name: str) -> Mapping[str, Any]:
    """A part of the conditions that has parts of its own; empty where it is not told."""
    found = reading.conditions.get(name)
    return found if isinstance(found, Mapping) else {}
