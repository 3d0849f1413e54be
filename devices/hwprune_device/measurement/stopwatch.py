"""The stopwatch: candidates and the base network timed in turn, in rounds, on all their clocks.

The error that matters is slow common drift between processes and minutes, not the noise within a
run. So a batch is interleaved with its base network and read as a ratio to it, and on a machine
that swings between two speeds only what ran beside a calm base counts; see devices/measuring.md.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hwprune_device.estimate import (
    Clock,
    Visit,
    choose_clock,
    counting_clock,
    is_calm,
    ratio_to_base,
)
from hwprune_device.job import Protocol
from hwprune_device.measurement.marker import BASE

_SHORTEST_RUN_MS = 0.05
"""Below this one timed run is several inferences: reading both clocks costs about 1 µs."""
_SHORT_VISIT_RUNS = 3
_RESTLESS_S = 10.0
"""A board that was not calm for this long is not waited for: a hot one stays as slow as it is. By
judgement: in nine minutes on a shared host 36 of 41 waits above a second were shorter."""


@dataclass(slots=True, kw_only=True)
class Lap:
    """A network on the stopwatch: how one run of it is made."""

    run: Callable[[], None]
    device_ms: Callable[[], float | None] | None = None
    """Asked after a run: what its last inference took on the device's own clock."""
    clock: Clock | None = None
    """The clock that must tell a time, where one is wanted in any case."""
    loops: int = 1
    """Inferences in one timed run."""
    short: bool = True
    """A visit is 1 discarded and 3 timed runs, else 1 timed run."""
    visits: list[Visit] = field(default_factory=list)

    def warm_up(self, protocol: Protocol) -> float:
        """Run untimed, decide how a visit is made; returns the wall milliseconds of one inference.

        Raises:
            RuntimeError: the device's clock is wanted, and gives no time.
        """
        self.run()
        # The first run allocates and is dropped; of the rest the fastest says what a run can take.
        times = [self._timed()[0] for _ in range(max(1, protocol.warmup_runs - 1))]
        inference_ms = min(times)
        # The floor of a ns is for a clock that did not move between two readings.
        self.loops = max(1, math.ceil(_SHORTEST_RUN_MS / max(inference_ms, 1e-6)))
        self.short = inference_ms < protocol.short_ms
        return inference_ms

    def visit_ms(self, inference_ms: float) -> float:
        """What a visit is expected to take."""
        return inference_ms * self.loops * (_SHORT_VISIT_RUNS + 1 if self.short else 1)

    def visit(self, before: int) -> None:
        """Run and time the network once; the base visit before it has number `before`."""
        if self.short:
            # The first run after another network is cold: 27 % slower for a network of 0.7 ms.
            self._timed()
        runs = [self._timed() for _ in range(_SHORT_VISIT_RUNS if self.short else 1)]
        wall, cpu, told = zip(*runs, strict=True)
        device = tuple(d for d in told if d is not None)
        self.visits.append(
            Visit(
                wall_ms=wall,
                cpu_ms=cpu,
                before=before,
                # All runs or none: a median over some of them would be of other moments.
                device_ms=device if len(device) == len(runs) else (),
            )
        )

    def _timed(self) -> tuple[float, float, float | None]:
        """Milliseconds of one inference: wall and thread-CPU time averaged over `loops`, and the
        last one's on the device's clock.
        """
        # Locals, so that the loop below has no attribute to look up.
        run, loops = self.run, self.loops
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        for _ in range(loops):
            run()
        # The CPU clock is read innermost: what reading the wall clock costs is not in it.
        cpu, wall = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
        return wall / loops / 1e6, cpu / loops / 1e6, self._device_ms()

    def _device_ms(self) -> float | None:
        told = self.device_ms() if self.device_ms is not None else None
        if told is None and self.clock == "device":
            raise RuntimeError(
                "this network's latency is its time on the device's own clock, and the runtime "
                "told none after a run"
            )
        return told


class Stopwatch:
    """Times a batch in rounds until every ratio is precise, or rounds or time are used up.

    Where enough visits were made between two calm ones of the base, the others are dropped.
    """

    def __init__(
        self,
        base: Lap,
        candidates: Mapping[int, Lap],
        protocol: Protocol,
        *,
        threads: int,
        clock: Clock | None = None,
        calm_ms: float | None = None,
        seed: int,
        note: Callable[[int], None],
        failed: Callable[[int, Exception], None],
    ) -> None:
        self.base = base
        self.candidates = dict(candidates)
        self._protocol = protocol
        self._threads = threads
        self._clock = clock
        self._counting_clock = counting_clock(clock, threads)
        # The base's calm time; where it is not known, every visit of the base counts as calm.
        self._calm_ms = calm_ms
        self._calm: list[bool] = []
        self._last_calm_s = math.inf
        self._order = random.Random(seed)
        self._note = note
        self._failed = failed

    def time(self) -> int:
        """Run the rounds; returns how many there were."""
        start = self._last_calm_s = time.monotonic()
        # Before the first round, so that the first candidate too has a base visit on either side.
        self._visit_base()
        done = 0
        while self.candidates:
            self._round()
            done += 1
            # Rounds are not cut short: every candidate then has as many visits as the others.
            if time.monotonic() - start > self._protocol.cap_s or self._enough(done):
                break
        self._drop_disturbed()
        return done

    def _round(self) -> None:
        """Every candidate once in random order, the base after every third and at the end."""
        # Anew each round: what runs before a network decides what the caches hold.
        order = list(self.candidates)
        self._order.shuffle(order)
        for position, index in enumerate(order, 1):
            self._visit_candidate(index)
            if position % self._protocol.base_every == 0 or position == len(order):
                self._visit_base()

    def _visit_base(self) -> None:
        self._note(BASE)
        self.base.visit(len(self.base.visits) - 1)
        visit, calm_ms = self.base.visits[-1], self._calm_ms
        calm = calm_ms is None or is_calm(visit, calm_ms, self._counting_clock)
        self._calm.append(calm)
        if calm:
            self._last_calm_s = time.monotonic()

    def _visit_candidate(self, index: int) -> None:
        self._note(index)
        try:
            self.candidates[index].visit(len(self.base.visits) - 1)
        except Exception as error:  # whatever a runtime raises is this candidate's failure
            del self.candidates[index]
            self._failed(index, error)

    def _calm_visits(self, lap: Lap) -> list[Visit]:
        """Those between two calm visits of the base."""
        return [v for v in lap.visits if self._calm[v.before] and self._calm[v.before + 1]]

    def _enough(self, done: int) -> bool:
        calm = [self._calm_visits(lap) for lap in self.candidates.values()]
        fewest = min(map(len, calm), default=done)
        if fewest < self._protocol.rounds:
            restless = time.monotonic() - self._last_calm_s > _RESTLESS_S
            return done >= (self._protocol.max_rounds if restless else self._most_rounds())
        if fewest >= self._protocol.max_rounds or done >= self._most_rounds():
            return True
        clock = self._clock or choose_clock(self.base.visits, self._threads)[0]
        return all(
            ratio_to_base(visits, self.base.visits, clock).half_width_pct
            <= self._protocol.precision_pct
            for visits in calm
        )

    def base_visits(self) -> list[int]:
        """Numbers of the base visits on either side of those that count, ascending."""
        visits = [v.before for lap in self.candidates.values() for v in lap.visits]
        return sorted({number for before in visits for number in (before, before + 1)})

    def _most_rounds(self) -> int:
        if self._calm_ms is None:
            return self._protocol.max_rounds
        return max(self._protocol.max_rounds, self._protocol.disturbed_rounds)

    def _drop_disturbed(self) -> None:
        """Keep the calm visits alone; all of them where those are too few."""
        calm = {index: self._calm_visits(lap) for index, lap in self.candidates.items()}
        if min(map(len, calm.values()), default=0) >= self._protocol.rounds:
            for index, lap in self.candidates.items():
                lap.visits = calm[index]

    def expected_s(self, inference_ms: Mapping[int, float]) -> float:
        """Seconds all rounds are expected to take at most, from the warm-up's times by index."""
        count = len(self.candidates)
        bases = math.ceil(count / self._protocol.base_every)
        visits = sum(lap.visit_ms(inference_ms[i]) for i, lap in self.candidates.items())
        one = visits + bases * self.base.visit_ms(inference_ms[BASE])
        return min(one * self._most_rounds() / 1e3, self._protocol.cap_s)
