"""A simulated farm: a farm's face over a staircase latency model, for tests of its callers.

Latency rises in steps of a block of channels, as real convolutions do on a processor with wide
registers. It is no stand-in for a board: nothing in hwprune selects it by name.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.farm.status import BoardStatus, FarmStatus
from hwprune_device.reading import Failure, Memory, Reading

Outcome = Reading | Failure
_ROUNDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Staircase:
    """Latency of a chain of layers whose widths are given: each costs its blocks in times out."""

    block: int = 16
    overhead_ms: float = 0.1
    block_ms: float = 0.02

    def latency_ms(self, widths: Sequence[int]) -> float:
        """Milliseconds, without noise."""
        blocks = [1, *(math.ceil(width / self.block) for width in widths)]
        products = (before * after for before, after in itertools.pairwise(blocks))
        return self.overhead_ms + self.block_ms * sum(products)


class SimulatedFarm:
    """Answers like a farm of one board, in the order it is asked.

    Args:
        widths: of the unpruned network; `place` takes them from a network instead.
        model: what a network costs.
        noise: relative standard deviation of a reading.
        delay_s: seconds each candidate takes.
        fails: candidates that give a Failure.
        lost: candidates while which the boards are gone for good.
        seed: of the noise.
    """

    def __init__(
        self,
        widths: Sequence[int] = (),
        *,
        model: Staircase | None = None,
        noise: float = 0.01,
        delay_s: float = 0.0,
        fails: Callable[[tuple[int, ...]], bool] = lambda widths: False,
        lost: Callable[[tuple[int, ...]], bool] = lambda widths: False,
        seed: int = 0,
        boards: int = 1,
    ) -> None:
        self._widths = tuple(widths)
        self._model = model or Staircase()
        self._noise = noise
        self._delay_s = delay_s
        self._fails = fails
        self._lost = lost
        self.boards = boards
        self._base: BaseNetwork | None = None
        self._random = random.Random(seed)
        self._line = ThreadPoolExecutor(max_workers=1)
        self._known: dict[tuple[int, ...], Reading] = {}
        self._busy_s = 0.0
        self._started = time.monotonic()
        self.measured = 0
        """Candidates that were really measured, not served again."""

    def start(self) -> None:
        """Simulated boards are always there."""
        self._started = time.monotonic()

    def place(self, base: BaseNetwork) -> None:
        """Take the widths of a network."""
        self._base, self._widths = base, base.widths

    def calibrate(self) -> Outcome:
        """The unpruned network's reading."""
        return self.measure([Candidate(widths=self._widths)])[0].result()

    def measure(self, candidates: Sequence[Candidate]) -> list[Future[Outcome]]:
        """A future for each candidate; a candidate that was read before is not read again."""
        return [self._line.submit(self._outcome, candidate.widths) for candidate in candidates]

    def remeasure(self, candidate: Candidate, batches: int) -> list[Outcome]:
        """Fresh readings."""
        ask = [self._line.submit(self._fresh, candidate.widths) for _ in range(batches)]
        return [future.result() for future in ask]

    def run_network(self, model: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Outputs of a network, computed by ONNX's own reference evaluator."""
        import onnx
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(onnx.load_model_from_string(model))
        given = dict(zip(evaluator.input_names, inputs, strict=True))
        return [np.asarray(output) for output in evaluator.run(None, given)]

    def engine(self, model: bytes, inputs: Sequence[np.ndarray]) -> None:
        """None: a simulated board makes no engines."""

    def timings(self) -> dict[str, float]:
        """Seconds by stage; everything a simulated board does is timing."""
        span = time.monotonic() - self._started
        busy = min(self._busy_s, span)
        quiet = dict.fromkeys(("send", "cut", "build", "warm"), 0.0)
        share = busy / span if span > 0 else 0.0
        return {
            **quiet,
            "time": busy,
            "busy": busy,
            "idle": span - busy,
            "busy_share": share,
            "candidates": self.measured,
        }

    def status(self) -> FarmStatus:
        """A simulated board is idle whenever it is looked at."""
        board = BoardStatus(
            name="simulated", kind="simulated", state="idle", readings=self.measured
        )
        now = time.time()
        return FarmStatus(
            farm="simulated",
            pid=os.getpid(),
            what="",
            started_at=now,
            written_at=now,
            boards=(board,),
        )

    @property
    def poisoned(self) -> tuple[str, ...]:
        """A simulated board cannot be taken down."""
        return ()

    def close(self) -> None:
        """Let nobody in any more."""
        self._line.shutdown(wait=True, cancel_futures=True)

    def _outcome(self, widths: tuple[int, ...]) -> Outcome:
        if widths in self._known:
            return self._known[widths]
        outcome = self._fresh(widths)
        if isinstance(outcome, Reading):
            self._known[widths] = outcome
        return outcome

    def _fresh(self, widths: tuple[int, ...]) -> Outcome:
        time.sleep(self._delay_s)
        self._busy_s += self._delay_s
        self.measured += 1
        if self._lost(widths):
            return Failure(stage="lost", message="simulated power cut")
        if self._fails(widths):
            return Failure(
                stage="run", message="simulated failure", architecture=self._name(widths)
            )
        return self._reading(widths)

    def _name(self, widths: tuple[int, ...]) -> str:
        """The candidate's architecture; without a network its widths."""
        return str(widths) if self._base is None else self._base.architecture_of(widths)

    def _reading(self, widths: tuple[int, ...]) -> Reading:
        nominal = self._model.latency_ms(self._widths)
        ratio = self._model.latency_ms(widths) / nominal
        if widths != self._widths:
            ratio *= math.exp(self._random.gauss(0.0, self._noise))
        latency = ratio * nominal
        spread = 1.96 * self._noise
        weights = sum(a * b for a, b in zip((3, *widths[:-1]), widths, strict=True)) * 36 / 1e6
        return Reading(
            reading_id=f"simulated-{self.measured}",
            architecture=self._name(widths),
            target={"runtime": "simulated", "threads": 1},
            batch_id=f"simulated-{self.measured}",
            taken_at="2026-01-01T00:00:00+00:00",
            clock="thread_cpu",
            latency_ms=latency,
            low_ms=latency * (1 - spread),
            high_ms=latency * (1 + spread),
            interval_source=f"simulated noise of {self._noise:.1%}",
            ratio=ratio,
            base_nominal_ms=nominal,
            runs_ms=((latency,) * 3,) * _ROUNDS,
            base_ms=(nominal,) * _ROUNDS,
            wall_ms=latency,
            cpu_ms=latency,
            memory=Memory(weights_mb=weights, activations_mb=max(widths) * 1024 * 4 / 1e6),
            build_s=0.001,
            model_mb=weights,
        )
