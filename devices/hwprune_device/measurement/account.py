"""The account of a batch: what its readings share, and how a timed network becomes a Reading."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from statistics import median
from typing import Any

from hwprune_device.conditions.fingerprint import selecting
from hwprune_device.conditions.gpu_presence import has_gpu, on_gpu
from hwprune_device.cut import Cutter
from hwprune_device.estimate import (
    CLASS_CV,
    Between,
    Clock,
    Ratio,
    Visit,
    device_class,
    ratio_to_base,
    spread,
)
from hwprune_device.job import CandidateJob, Job
from hwprune_device.measurement import doubts
from hwprune_device.measurement.energy import Energy
from hwprune_device.measurement.stopwatch import Lap
from hwprune_device.reading import Reading
from hwprune_device.runtimes import Network, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a batch needs beside the job: a base that was placed before, and where it runs."""

    cutter: Cutter
    free: Mapping[str, int]
    """Sizes of the base's symbolic dimensions."""
    runtime: Runtime
    cores: tuple[int, ...]
    board: Mapping[str, Any]
    """The board's fingerprint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltNetwork:
    """A network that was built and warmed up."""

    job: CandidateJob
    network: Network
    lap: Lap
    model_mb: float
    build_s: float
    inference_ms: float
    """As seen while warming up; only good for planning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One batch, after its last round."""

    job: Job
    setup: Setup
    batch_id: str
    clock: Clock
    wall_excess: float
    """Wall over thread-CPU time of all runs that count, minus one."""
    base_visits: tuple[Visit, ...]
    beside: tuple[int, ...]
    """Numbers of the base visits on either side of the visits that count."""
    rounds: int
    around: Mapping[str, Any]
    """The board before and after, and what others took meanwhile."""
    order_seed: int
    networks: int
    workers: int
    """Threads, and what computes beside them."""
    base_ms: tuple[float, ...] = field(init=False)
    """What the base took in those visits, on `clock`."""

    def __post_init__(self) -> None:
        visits = tuple(median(self.base_visits[n].runs(self.clock)) for n in self.beside)
        # The dataclass is frozen, and this is the one field that it computes itself.
        object.__setattr__(self, "base_ms", visits)

    def reading(self, built: BuiltNetwork, energy: Energy | None = None) -> Reading:
        """The reading of one network of the batch."""
        visits = built.lap.visits
        ratio = ratio_to_base(visits, self.base_visits, self.clock)
        # Uncalibrated, the base's median in this very batch stands in.
        nominal = self.job.base_nominal_ms or median(self.base_ms)
        latency = nominal * ratio.value
        interval = spread(latency, ratio, self._between(), self._base_off())
        device = [run for v in visits for run in v.device_ms]
        return Reading(
            reading_id=uuid.uuid4().hex,
            architecture=built.job.architecture,
            target={**asdict(self.job.target), **selecting(self.setup.runtime.describe())},
            batch_id=self.batch_id,
            taken_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            clock=self.clock,
            latency_ms=latency,
            low_ms=interval.low_ms,
            high_ms=interval.high_ms,
            interval_source=interval.source,
            ratio=ratio.value,
            base_nominal_ms=nominal,
            runs_ms=tuple(v.runs(self.clock) for v in visits),
            base_ms=ratio.base_ms,
            wall_ms=median(run for v in visits for run in v.wall_ms),
            # CPU time of the calling thread leaves out what others compute for it.
            cpu_ms=None if self.workers > 1 else median(run for v in visits for run in v.cpu_ms),
            device_ms=median(device) if device else None,
            memory=built.network.memory,
            build_s=built.build_s,
            model_mb=built.model_mb,
            energy_mj=energy.energy_mj if energy else None,
            energy_source=energy.source if energy else "",
            conditions=self._conditions(built),
            doubts=self._doubts(ratio) + built.network.doubts,
        )

    def _between(self) -> Between:
        protocol = self.job.protocol
        name = device_class(self.workers, gpu=on_gpu(self.job.target, present=has_gpu()))
        if protocol.between_batch_cv is None:
            return Between(cv=CLASS_CV[name], source=f"class default: {name}")
        return Between(cv=protocol.between_batch_cv, source=protocol.cv_source)

    def _base_off(self) -> float:
        """How far the base was off its calm time in this batch; 0 where that is not known."""
        calm = self.job.base_calm_ms
        return median(self.base_ms) / calm - 1 if calm else 0.0

    def _doubts(self, ratio: Ratio) -> tuple[str, ...]:
        shared = doubts.batch_doubts(
            clock=self.clock,
            threads=self.workers,
            wall_excess=self.wall_excess,
            disturbance=self.around,
            base_ms=self.base_ms,
            base_off=self._base_off(),
        )
        ratios = doubts.ratio_doubts(ratio, self.rounds, self.job.protocol)
        return (*doubts.board_doubts(self.setup.board), *shared, *ratios)

    def _conditions(self, built: BuiltNetwork) -> dict[str, Any]:
        return {
            **self.around,
            **built.network.facts,
            "board": dict(self.setup.board),
            "wall_over_cpu_excess": round(self.wall_excess, 4),
            "base_off": round(self._base_off(), 4),
            "rounds": self.rounds,
            # Fewer than the rounds where what ran beside a disturbed base was dropped.
            "visits": len(built.lap.visits),
            "order_seed": self.order_seed,
            # More than 1 for networks so short that reading the clocks would count.
            "inferences_per_run": built.lap.loops,
            "candidates_in_batch": self.networks,
        }
