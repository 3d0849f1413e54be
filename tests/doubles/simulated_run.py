"""A simulated batch: a real supervisor's work done by sleeping, to load a farm with many boards.

Put in the place of `BatchRun` (hwprune_device.measurement.batch) inside a supervisor. Everything
around it is real: the process, its frames, the lease, the head. Nothing in hwprune selects it by
name.
"""

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hwprune_device.job import CandidateJob, Job
from hwprune_device.measurement.batch import with_control
from hwprune_device.reading import Memory, Reading

JOB_S = float(os.environ.get("HWPRUNE_SIMULATED_S", "0.3"))
"""Board time of one candidate."""
_ROUNDS = 20


class SimulatedRun:
    """Gives every candidate of a job a reading that follows from its widths, after a while."""

    def __init__(
        self,
        job: Job,
        place: object,
        send: Callable[[Mapping[str, Any]], None],
        **ignored: object,
    ) -> None:
        self._job = with_control(job)
        self._send = send

    def run(self) -> None:
        """Sleep for every candidate, then send what was read and where the time went."""
        start = time.perf_counter()
        time.sleep(JOB_S * len(self._job.candidates))
        for index, candidate in enumerate(self._job.candidates):
            reading = self._reading(candidate)
            self._send({"kind": "outcome", "index": index, "reading": reading.to_json()})
        spent = time.perf_counter() - start
        self._send({"kind": "done", "timings": {"time_s": spent, "wall_s": spent}, "rounds": 1})

    def _reading(self, candidate: CandidateJob) -> Reading:
        nominal = self._job.base_nominal_ms or 1.0
        ratio = _size(candidate.widths) / _size(self._job.base_widths)
        latency = nominal * ratio
        return Reading(
            reading_id=uuid.uuid4().hex,
            architecture=candidate.architecture,
            target={"runtime": "simulated"},
            batch_id=self._job.job_id,
            taken_at="",
            clock="wall",
            latency_ms=latency,
            low_ms=latency * 0.99,
            high_ms=latency * 1.01,
            interval_source="simulated",
            ratio=ratio,
            base_nominal_ms=nominal,
            runs_ms=((latency,),) * _ROUNDS,
            base_ms=(nominal,) * _ROUNDS,
            wall_ms=latency,
            cpu_ms=latency,
            memory=Memory(weights_mb=0.1, activations_mb=0.1),
            build_s=0.0,
            model_mb=0.1,
        )


def _size(widths: Sequence[int]) -> float:
    return 1.0 + math.fsum(widths)
