"""The two outcomes of a measurement: a `Reading`, or a `Failure` that says where and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Stage = Literal["cut", "build", "run", "timeout", "memory", "crash", "lost", "poison"]
"""`lost`: the board went away, which says nothing about the network; `poison`: this network took
boards down more than once, so it is not sent again."""

_LONGEST_MS = 1e9
"""Eleven days, or MB: nothing takes longer, or so much."""
PREDICTED = "predicted"
"""Among a reading's conditions: no board took it; what did, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes a network holds, in MB of 10**6; None where the runtime reports none, never 0."""

    weights_mb: float
    activations_mb: float | None
    """Peak of live activations in the runtime's own execution order."""
    arena_mb: float | None = None
    """What the runtime's allocator held while running."""
    creation_peak_mb: float | None = None
    """Peak resident growth of the process while the session was built (coarse)."""

    @property
    def peak_mb(self) -> float | None:
        """Weights and peak activations: exact and repeatable, so it is what budgets read."""
        return None if self.activations_mb is None else self.weights_mb + self.activations_mb


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One measurement of one network on one board, with raw runs and what may be wrong with it."""

    reading_id: str
    architecture: str
    """Architecture hash of the network that ran."""
    target: Mapping[str, Any]
    """Runtime, version, provider, options, threads, precision: what selects a latency."""
    batch_id: str
    taken_at: str
    """UTC, ISO 8601."""
    clock: Literal["thread_cpu", "wall", "device"]
    """Which clock `latency_ms` comes from."""
    latency_ms: float
    """Median, as ratio to the base network in the same rounds times `base_nominal_ms`."""
    low_ms: float
    high_ms: float
    """95 % interval of `latency_ms` from between-batch spread."""
    interval_source: str
    """Where the spread came from, in words: a class default, or n readings of this board."""
    ratio: float
    """Median over rounds of this network's time over the base network's in the same round."""
    base_nominal_ms: float
    runs_ms: tuple[tuple[float, ...], ...]
    """Timed runs on `clock`, one tuple a round."""
    base_ms: tuple[float, ...]
    """The base network's time next to each of those rounds, same clock."""
    wall_ms: float
    """Median wall time of a run."""
    cpu_ms: float | None
    """Median thread-CPU time of a run; None where more than one thread works."""
    memory: Memory
    build_s: float
    model_mb: float
    """Bytes of the model file as the board received or made it."""
    device_ms: float | None = None
    """Median time of a run on the device's own clock; None where it has none."""
    energy_mj: float | None = None
    """Energy of one inference, of the whole package or board; None where it was not read."""
    energy_source: str = ""
    """What `energy_mj` comes from, or why it could not be read; empty: it was not asked for."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """Board state before and after: load, clocks, temperature, steal, versions."""
    doubts: tuple[str, ...] = ()
    """Why this reading may be wrong, in words; empty for a good one."""
    board: str = ""
    """The head's name of the board it was taken on."""

    def quantile_ms(self, quantile: float) -> float:
        """Latency at a quantile of the single runs, each normalised by its round's base time."""
        if abs(quantile - 0.5) < 1e-9:
            return self.latency_ms
        normal = sorted(
            run / base * self.base_nominal_ms
            for runs, base in zip(self.runs_ms, self.base_ms, strict=True)
            for run in runs
        )
        # The smallest sample that covers the quantile: no interpolation below what was seen.
        # ceil(quantile * n) - 1, by the floor of the negative.
        rank = min(len(normal) - 1, max(0, -int(-quantile * len(normal) // 1) - 1))
        return normal[rank]

    def upper_ms(self, quantile: float) -> float:
        """Upper end of the 95 % interval of the latency at `quantile`."""
        return self.quantile_ms(quantile) * self.high_ms / self.latency_ms

    def at_nominal(self, nominal_ms: float) -> Reading:
        """The same ratio to a base network that takes `nominal_ms`."""
        scale = nominal_ms / self.base_nominal_ms
        return replace(
            self,
            latency_ms=self.latency_ms * scale,
            low_ms=self.low_ms * scale,
            high_ms=self.high_ms * scale,
            base_nominal_ms=nominal_ms,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reading:
        """The inverse of `to_json`."""
        fields = dict(data)
        fields["memory"] = Memory(**fields["memory"])
        fields["runs_ms"] = tuple(tuple(runs) for runs in fields["runs_ms"])
        fields["base_ms"] = tuple(fields["base_ms"])
        fields["doubts"] = tuple(fields["doubts"])
        return cls(**fields)


def fault_of(reading: Reading) -> str:
    """What of a reading cannot be, as "field: value"; empty where all of it can."""
    memory = reading.memory
    above = {
        name: getattr(reading, name)
        for name in ("latency_ms", "high_ms", "ratio", "base_nominal_ms", "wall_ms")
    }
    least = {
        name: getattr(reading, name)
        for name in ("low_ms", "device_ms", "cpu_ms", "build_s", "model_mb", "energy_mj")
    } | {f"memory.{name}": getattr(memory, name) for name in Memory.__slots__}
    for name, value in above.items():
        if not 0 < value < _LONGEST_MS:
            return f"{name}: {value!r}"
    for name, value in least.items():
        if value is not None and not 0 <= value < _LONGEST_MS:
            return f"{name}: {value!r}"
    if not reading.low_ms <= reading.latency_ms <= reading.high_ms:
        values = f"{reading.low_ms!r}, {reading.latency_ms!r}, {reading.high_ms!r}"
        return f"low_ms, latency_ms, high_ms: {values}"
    if not reading.runs_ms or len(reading.runs_ms) != len(reading.base_ms):
        return f"runs_ms: {len(reading.runs_ms)} rounds, of base_ms {len(reading.base_ms)}"
    for name, runs in (("base_ms", reading.base_ms), *(("runs_ms", r) for r in reading.runs_ms)):
        if not runs or not all(0 < run < _LONGEST_MS for run in runs):
            return f"{name}: {runs!r:.80}"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A measurement that gave no number: at which stage, and what was said there."""

    stage: Stage
    message: str
    architecture: str = ""
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Failure:
        """The inverse of `to_json`."""
        return cls(**data)
