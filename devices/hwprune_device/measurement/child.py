"""What a forked child does with a batch: cut, build, warm up, time in rounds, report."""

from __future__ import annotations

import time
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hwprune_device.conditions.surroundings import Surroundings
from hwprune_device.estimate import Clock, choose_clock
from hwprune_device.job import CandidateJob, Job
from hwprune_device.measurement.account import Account, BuiltNetwork, Setup
from hwprune_device.measurement.energy import LEAST_LOOKS, Energy, find_sensor, measure_energy
from hwprune_device.measurement.fork import Report
from hwprune_device.measurement.marker import BASE, NOBODY, Marker
from hwprune_device.measurement.stopwatch import Lap, Stopwatch
from hwprune_device.reading import Failure, Stage
from hwprune_device.runtimes import DeviceTimed

_STAGE_OF_STEP: dict[str, Stage] = {
    "cut": "cut",
    "build": "build",
    "run": "run",
    "time": "run",
    "energy": "run",
}
_OF_BASE = "the unpruned network itself failed: "
_STAGE_OF_ERROR: dict[type[Exception], Stage] = {MemoryError: "memory", TimeoutError: "timeout"}


@dataclass(slots=True, kw_only=True)
class _Spent:
    """Seconds by stage."""

    cut_s: float = 0.0
    build_s: float = 0.0
    warm_s: float = 0.0
    time_s: float = 0.0
    energy_s: float = 0.0


class BatchMeasurement:
    """Candidates of one job, measured in this process; `indices` say which of the job's."""

    def __init__(
        self, job: Job, indices: Sequence[int], setup: Setup, report: Report, marker: Marker
    ) -> None:
        self._job = job
        self._setup = setup
        self._report = report
        self._marker = marker
        self._indices = indices
        # From the job alone, so that a run of the same job visits in the same order.
        self._seed = zlib.crc32(job.job_id.encode())
        self._spent = _Spent()
        self._board = Surroundings(setup.cores, job.target)

    def measure(self) -> None:
        """Build everything, time it, and report an outcome for every candidate."""
        # A note is a sign of life: a child that waits is none that hangs.
        self._board.wait(
            self._job.protocol.gate_s, lambda _seconds, _words: self._marker.note(NOBODY, "start")
        )
        # The base is built first, whatever is asked for: each reading is a ratio to it.
        unpruned = CandidateJob(
            architecture=self._job.base_architecture, widths=self._job.base_widths
        )
        try:
            base = self._build(BASE, unpruned)
        except Exception as error:
            # Nothing can be told beside it, and what it said is worth more than where it was said.
            for index in self._indices:
                self._fail(index, error, of_base=True)
            self._report({"kind": "done", "timings": asdict(self._spent), "rounds": 0})
            return
        built = {index: b for index in self._indices if (b := self._try_build(index)) is not None}
        # All of a batch stay in memory at once, so that rounds can alternate between them.
        watch, rounds = self._time(base, built)
        # The state after the rounds is taken before energy is: that heats the board further.
        account = self._account(watch, rounds, self._board.to_json())
        energies = self._energies({index: built[index] for index in watch.candidates})
        for index, energy in energies.items():
            reading = account.reading(built[index], energy)
            self._report({"kind": "outcome", "index": index, "reading": reading.to_json()})
        self._report({"kind": "done", "timings": asdict(self._spent), "rounds": rounds})

    def _try_build(self, index: int) -> BuiltNetwork | None:
        """Build a candidate; return it ready to time, or None after its failure was reported."""
        try:
            return self._build(index, self._job.candidates[index])
        except Exception as error:
            # Whatever a cut or a runtime raises is this candidate's failure, never the batch's.
            self._fail(index, error)
            return None

    def _build(self, index: int, job: CandidateJob) -> BuiltNetwork:
        self._marker.note(index, "cut")
        # Noted first, for the supervisor, then said: a crash in between is still attributed.
        self._say_at(index)
        start = time.perf_counter()
        model = self._setup.cutter.cut_to(job.widths)
        cut = time.perf_counter()
        self._spent.cut_s += cut - start
        self._marker.note(index, "build")
        network = self._setup.runtime.load(
            model, self._job.target, self._setup.free, lambda: self._marker.note(index, "build")
        )
        ready = time.perf_counter()
        self._spent.build_s += ready - cut
        self._marker.note(index, "run")
        lap = Lap(
            run=network.run,
            device_ms=network.device_ms if isinstance(network, DeviceTimed) else None,
            clock=self._clock(),
        )
        try:
            # Before the warm-up: a runtime that counts memory does it in its very first runs.
            network.weigh()
            inference_ms = lap.warm_up(self._job.protocol)
        except Exception:
            # Its neighbours want the memory.
            network.close()
            raise
        self._spent.warm_s += time.perf_counter() - ready
        return BuiltNetwork(
            job=job,
            network=network,
            lap=lap,
            model_mb=len(model) / 1e6,
            build_s=ready - cut,
            inference_ms=inference_ms,
        )

    def _time(
        self, base: BuiltNetwork, built: Mapping[int, BuiltNetwork]
    ) -> tuple[Stopwatch, int]:
        """Run the rounds, after saying how long they will take; the stopwatch and their number."""
        watch = Stopwatch(
            base.lap,
            {index: b.lap for index, b in built.items()},
            self._job.protocol,
            threads=self._workers(),
            clock=self._clock(),
            calm_ms=self._job.base_calm_ms,
            seed=self._seed,
            note=self._turn,
            failed=self._fail,
        )
        inference_ms = {index: b.inference_ms for index, b in built.items()}
        expected = watch.expected_s({**inference_ms, BASE: base.inference_ms})
        # The one deadline that follows is for energy too.
        expected += self._expected_energy_s(built)
        self._report({"kind": "expect", "expected_s": expected})
        self._say_at(NOBODY)
        start = time.perf_counter()
        rounds = watch.time()
        self._spent.time_s = time.perf_counter() - start
        self._marker.note(NOBODY, "report")
        return watch, rounds

    def _say_at(self, index: int) -> None:
        """Report what comes next, and wait until the head knows: it may take the board down."""
        self._report({"kind": "at", "index": index}, wait=True)

    def _turn(self, index: int) -> None:
        """A network's turn on the stopwatch begins."""
        self._board.glance()
        self._marker.note(index, "time")

    def _energies(self, built: Mapping[int, BuiltNetwork]) -> dict[int, Energy | None]:
        """Energy of each network, read after all rounds; without those that failed meanwhile."""
        seconds = self._job.protocol.energy_s
        if seconds <= 0:
            return dict.fromkeys(built)
        sensor = find_sensor(self._job.target)
        if isinstance(sensor, str):
            return dict.fromkeys(built, Energy(energy_mj=None, source=sensor))
        start = time.perf_counter()
        found: dict[int, Energy | None] = {}
        for index, network in built.items():
            self._marker.note(index, "energy")
            try:
                found[index] = measure_energy(
                    sensor, network.network.run, seconds, network.inference_ms
                )
            except OSError as error:
                # The sensor's fault, not the network's.
                found[index] = Energy(energy_mj=None, source=f"{sensor.source}: {error}")
            except Exception as error:  # as while timing: whatever a runtime raises
                self._fail(index, error)
        self._spent.energy_s = time.perf_counter() - start
        self._marker.note(NOBODY, "report")
        return found

    def _expected_energy_s(self, built: Mapping[int, BuiltNetwork]) -> float:
        seconds = self._job.protocol.energy_s
        if seconds <= 0:
            return 0.0
        return sum(max(seconds, LEAST_LOOKS * b.inference_ms / 1e3) for b in built.values())

    def _workers(self) -> int:
        return self._setup.runtime.workers(self._job.target)

    def _clock(self) -> Clock | None:
        return self._setup.runtime.clock(self._job.target)

    def _account(self, watch: Stopwatch, rounds: int, around: Mapping[str, Any]) -> Account:
        beside = watch.base_visits()
        visits = [v for lap in watch.candidates.values() for v in lap.visits]
        visits += [watch.base.visits[number] for number in beside]
        chosen, excess = choose_clock(visits, self._workers())
        return Account(
            job=self._job,
            setup=self._setup,
            batch_id=f"{self._job.job_id}/{uuid.uuid4().hex[:8]}",
            clock=self._clock() or chosen,
            wall_excess=excess,
            base_visits=tuple(watch.base.visits),
            beside=tuple(beside),
            rounds=rounds,
            around=around,
            order_seed=self._seed,
            networks=len(self._indices),
            workers=self._workers(),
        )

    def _fail(self, index: int, error: Exception, *, of_base: bool = False) -> None:
        stage = _STAGE_OF_STEP[self._marker.read().step]
        # What an error is counts more than where it was raised: memory can run out at any step.
        for kind, said in _STAGE_OF_ERROR.items():
            stage = said if isinstance(error, kind) else stage
        failure = Failure(
            stage=stage,
            message=f"{_OF_BASE if of_base else ''}{type(error).__name__}: {error}",
            architecture=self._job.candidates[index].architecture,
        )
        head = {"kind": "outcome", "index": index, "failure": failure.to_json()}
        self._report({**head, "of_base": of_base})
