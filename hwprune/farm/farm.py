"""The farm: boards that answer. Candidates go in, readings or failures come out, nothing twice."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, replace
from statistics import median

import numpy as np

from hwprune.board import Board
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError
from hwprune.farm.link import BoardLink
from hwprune.farm.session import Batch, Outcome
from hwprune.farm.store import ReadingKey, ReadingStore
from hwprune.farm.timetable import Timetable
from hwprune.farm.waiting import WaitingRoom, Wish
from hwprune_device.job import CandidateJob, Job
from hwprune_device.reading import Failure, Reading

BATCH = 16
_BATCH_BYTES = 2 * 10**9
"""All networks of a batch are built at the same time, so large ones come in smaller batches."""
CALIBRATION_BATCHES = 3
_CONTROL_PCT = 3.0


class Farm:
    """Boards of one class, a store of what they read, and a queue before them.

    `cluster.Cluster` must be started. Any number of threads may ask.
    """

    def __init__(self, boards: Sequence[Board], store: ReadingStore) -> None:
        self._links = [BoardLink(board) for board in boards]
        self._board = boards[0]
        self._store = store
        self._room = WaitingRoom()
        self._times = Timetable(boards=len(boards))
        self._target_key = json.dumps(asdict(self._board.target), sort_keys=True)
        self._conditions_key = ""
        self._base: BaseNetwork | None = None
        self._nominal_ms: float | None = None
        self._calibrating = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start every board.

        Raises:
            BoardError: a board does not answer, or the boards are not of one class.
        """
        keys = {link.board.name: link.start()[1] for link in self._links}
        if len(set(keys.values())) > 1:
            raise BoardError(
                "the boards are not of one class, so their readings cannot be mixed",
                given=", ".join(f"{name}: {key[:12]}" for name, key in keys.items()),
                next_step="use one farm for each class: same processor, runtime and target",
            )
        self._conditions_key = next(iter(keys.values()))
        self._threads = [
            threading.Thread(target=self._serve, args=(link,), daemon=True) for link in self._links
        ]
        for thread in self._threads:
            thread.start()

    def place(self, base: BaseNetwork) -> None:
        """Choose the network whose candidates are measured from now on.

        Raises:
            BoardError: a board does not answer.
        """
        for link in self._links:
            link.place(base)
        self._base = base
        self._nominal_ms = self._store.nominal_ms(self._key(base.architecture))

    def calibrate(self, batches: int = CALIBRATION_BATCHES) -> Outcome:
        """The unpruned network's reading, whose time every ratio is multiplied with.

        Each batch is a fresh process that times the network beside itself. The median stays in
        the store, so that all runs under these conditions share one nominal time. A Failure when
        the board is lost, or cannot run the network.
        """
        with self._calibrating:
            key = self._key(self._placed().architecture)
            known = self._store.get(key) if self._nominal_ms is not None else None
            if known is not None:
                return known
            outcome = self._calibration_batches(batches)
            if isinstance(outcome, Failure):
                return outcome
            reading = _calibration(outcome, self._nominal_ms)
            self._store.calibrate(key, reading)
            # Another process may have been first; its nominal counts then.
            self._nominal_ms = self._store.nominal_ms(key)
            return reading

    def measure(self, candidates: Sequence[Candidate]) -> list[Future[Outcome]]:
        """A future for each candidate; what the store knows is there at once."""
        return [self._ask(candidate) for candidate in candidates]

    def remeasure(self, candidate: Candidate, batches: int) -> list[Outcome]:
        """Fresh outcomes of one candidate, each from a process of its own; kept in the store."""
        nominal = self._nominal()
        if isinstance(nominal, Failure):
            return [nominal] * batches
        key = self._key(self._placed().architecture_of(candidate.widths))
        outcomes = [
            self._run(self._links[0], [(key, candidate)], nominal).outcomes[0]
            for _ in range(batches)
        ]
        for outcome in outcomes:
            self._store.add(key, outcome)
        return outcomes

    def agree(self, model: bytes, inputs: np.ndarray) -> np.ndarray:
        """Output (N …) of a real network on real inputs (N C H W), computed by a board.

        Raises:
            BoardError: the board cannot.
        """
        return self._links[0].execute(model, inputs)

    def timings(self) -> dict[str, float]:
        """Seconds by stage (send, cut, build, warm, time, idle), busy_share, and candidates."""
        return self._times.summary()

    def close(self) -> None:
        """End boards and threads; whoever still waits gets a failure of stage "lost"."""
        for wish in self._room.close():
            self._room.answer(wish, _closed(wish))
        for link in self._links:
            link.close()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _ask(self, candidate: Candidate) -> Future[Outcome]:
        key = self._key(self._placed().architecture_of(candidate.widths))
        known = self._store.outcome(key)
        if known is None:
            return self._room.join(key, candidate)
        future: Future[Outcome] = Future()
        future.set_result(known)
        return future

    def _serve(self, link: BoardLink) -> None:
        """A board's own thread: batch after batch until the farm closes."""
        while wishes := self._room.take(self._batch_limit()):
            try:
                outcomes = self._batch(link, wishes)
            except Exception as error:
                # Whoever waits must hear of it, whatever it is: a silent future stops a search.
                lost = Failure(stage="lost", message=f"{type(error).__name__}: {error}")
                outcomes = [replace(lost, architecture=w.key.architecture) for w in wishes]
            for wish, outcome in zip(wishes, outcomes, strict=True):
                self._room.answer(wish, outcome)

    def _calibration_batches(self, batches: int) -> list[Reading] | Failure:
        """Readings of the unpruned network; those with doubts are taken again, once each."""
        good: list[Reading] = []
        doubted: list[Reading] = []
        for _ in range(2 * batches):
            outcome = self._run(self._links[0], [], None).outcomes[0]
            if isinstance(outcome, Failure):
                return outcome
            (doubted if outcome.doubts else good).append(outcome)
            if len(good) == batches:
                break
        return good or doubted

    def _batch(self, link: BoardLink, wishes: Sequence[Wish]) -> Sequence[Outcome]:
        nominal = self._nominal()
        if isinstance(nominal, Failure):
            return [replace(nominal, architecture=w.key.architecture) for w in wishes]
        work = [(wish.key, wish.candidate) for wish in wishes]
        outcomes = self._run(link, work, nominal).outcomes
        for wish, outcome in zip(wishes, outcomes, strict=True):
            self._store.add(wish.key, outcome)
        return outcomes

    def _run(
        self,
        link: BoardLink,
        work: Sequence[tuple[ReadingKey, Candidate]],
        nominal_ms: float | None,
    ) -> Batch:
        base = self._placed()
        job = Job(
            job_id=uuid.uuid4().hex,
            base_id=base.base_id,
            base_architecture=base.architecture,
            base_widths=base.widths,
            target=self._board.target,
            protocol=self._board.protocol,
            candidates=tuple(
                CandidateJob(architecture=key.architecture, widths=candidate.widths)
                for key, candidate in work
            ),
            base_nominal_ms=nominal_ms,
        )
        with self._times.job(max(1, len(work))) as entry:
            batch = link.measure(job)
            entry.take(batch.timings)
        return batch

    def _nominal(self) -> float | Failure:
        """The calibrated time of the unpruned network, calibrating when nobody did."""
        if self._nominal_ms is None:
            outcome = self.calibrate()
            if isinstance(outcome, Failure):
                message = f"the unpruned network could not be measured: {outcome.message}"
                return replace(outcome, stage="lost", message=message)
            return self._nominal_ms or outcome.base_nominal_ms
        return self._nominal_ms

    def _placed(self) -> BaseNetwork:
        if self._base is None:
            raise BoardError("no network was placed on the boards", next_step="call Farm.place")
        return self._base

    def _key(self, architecture: str) -> ReadingKey:
        return ReadingKey(
            architecture=architecture,
            target_key=self._target_key,
            conditions_key=self._conditions_key,
        )

    def _batch_limit(self) -> int:
        size = len(self._base.onnx) if self._base else 1
        return max(1, min(BATCH, _BATCH_BYTES // size))


def _calibration(readings: Sequence[Reading], nominal_ms: float | None) -> Reading:
    """One reading of the unpruned network for several: its time is the nominal, its ratio 1.

    The network beside itself is the control: a ratio off 1 shows an error of the protocol.
    """
    nominal = nominal_ms or median(r.base_nominal_ms for r in readings)
    middle = sorted(readings, key=lambda r: r.base_nominal_ms)[(len(readings) - 1) // 2]
    off_pct = 100 * abs(median(r.ratio for r in readings) - 1)
    doubts = set(middle.doubts)
    if off_pct > _CONTROL_PCT:
        doubts.add(f"the network timed beside itself was off by {off_pct:.1f} %")
    return replace(
        middle,
        latency_ms=nominal,
        low_ms=nominal * middle.low_ms / middle.latency_ms,
        high_ms=nominal * middle.high_ms / middle.latency_ms,
        interval_source=f"{middle.interval_source}; nominal is the median of {len(readings)} "
        "batches",
        ratio=1.0,
        base_nominal_ms=nominal,
        doubts=tuple(sorted(doubts)),
    )


def _closed(wish: Wish) -> Failure:
    return Failure(
        stage="lost",
        message="the farm was closed before this candidate was measured",
        architecture=wish.key.architecture,
    )
