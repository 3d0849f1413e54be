"""Boards of one kind: the queue, the network, its nominal time, the canaries: what they share."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import median
from typing import Literal

from hwprune.board import Board
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError
from hwprune.farm.answers import Outcome
from hwprune.farm.calm_time import CalmTime
from hwprune.farm.canaries import Canaries, between_batches
from hwprune.farm.measure_queue import MeasureQueue, Request, lost
from hwprune.farm.reading_key import ReadingKey
from hwprune.farm.status import KindStatus
from hwprune.farm.store import ReadingStore
from hwprune.farm.store_rows import Cut
from hwprune.farm.timetable import Timetable
from hwprune_device.conditions.gpu_presence import on_gpu
from hwprune_device.estimate import OFF_CALM
from hwprune_device.job import CandidateJob, Job
from hwprune_device.reading import Failure, Reading

Nominal = Literal["typical", "slowest"]
"""Whose time of the unpruned network ratios are multiplied with, where a kind has more boards."""
# By judgement: so many share what it costs to build and time the base, and no more are lost with
# a board.
BATCH = 16
_BATCH_BYTES = 2 * 10**9
"""All networks of a batch are built at the same time, so large ones come in smaller batches."""
STRIKES = 2
"""A network that took boards down this often is poison."""


class BoardPool:
    """What the workers of one kind's boards have in common; safe to use from their threads."""

    def __init__(self, boards: Sequence[Board], store: ReadingStore, nominal: Nominal) -> None:
        self.board = boards[0]
        self.store = store
        self.queue = MeasureQueue()
        self.canaries = Canaries()
        self.times = Timetable(boards=len(boards))
        self.conditions_key = ""
        self.nominal_ms: float | None = None
        self.asked = 0
        self.hits = 0
        self.poisoned: list[str] = []
        self._whose = nominal
        self.target_key = json.dumps(asdict(self.board.target), sort_keys=True)
        self._base: BaseNetwork | None = None
        self._calm: dict[str, CalmTime] = {}
        self._answering: set[str] = set()
        self._at_hand = {board.name for board in boards}
        # Nobody has been reached yet.
        self._deserted_at: float | None = time.monotonic()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The kind's name."""
        return self.board.kind

    @property
    def base(self) -> BaseNetwork:
        """The network whose candidates are measured.

        Raises:
            BoardError: none was placed.
        """
        if self._base is None:
            raise BoardError("no network was placed on the boards", next_step="call Farm.place")
        return self._base

    def place(self, base: BaseNetwork) -> None:
        """Choose the network; what the store knows of it is taken from there."""
        self._base = base
        # Before any reading of it: a reading's row names its base by that row's number.
        self.store.know(base)
        self.canaries = Canaries()
        self._calm.clear()
        self.nominal_ms = self.store.nominal_ms(self.key(base.architecture))

    def key(self, architecture: str) -> ReadingKey:
        """Where the store keeps readings of an architecture under these conditions."""
        return ReadingKey(
            architecture=architecture,
            target_key=self.target_key,
            conditions_key=self.conditions_key,
        )

    def key_of(self, candidate: Candidate) -> ReadingKey:
        """The same for a candidate of the placed network."""
        return self.key(self.base.architecture_of(candidate.widths))

    def cut_of(self, candidate: Candidate) -> Cut:
        """What the candidate's architecture is, for the store."""
        return Cut(base_id=self.base.base_id, widths=tuple(candidate.widths))

    def known(self, key: ReadingKey) -> Outcome | None:
        """What the store has of a network, at this kind's nominal time."""
        outcome = self.store.outcome(key)
        if isinstance(outcome, Reading) and self.nominal_ms is not None:
            return outcome.at_nominal(self.nominal_ms)
        return outcome

    def calm_ms(self, board: str) -> float | None:
        """A board's own calm time of the placed network, if it was calibrated."""
        if board not in self._calm:
            found = self.store.calm_ms(self.key(self.base.architecture), board)
            if found is None:
                return None
            self._calm[board] = CalmTime(found)
        return self._calm[board].ms

    @property
    def calmest_ms(self) -> float | None:
        """The time of the placed network on a board that nothing disturbs, as known by now.

        The nominal time stays what it was at first; this one moves where boards were not calm.
        """
        times = self._calm_times
        return self._of_boards(times) if times else None

    @property
    def _calm_times(self) -> list[float]:
        return [calm.ms for calm in self._calm.values()]

    def _of_boards(self, times: Sequence[float]) -> float:
        return max(times) if self._whose == "slowest" else median(times)

    def calibrated(self, board: str, calm_ms: float) -> float:
        """Take in a board's calm time; the kind's nominal time, which stays once it is set."""
        key = self.key(self.base.architecture)
        # Another head may have calibrated it meanwhile: the first one counts for both.
        self.store.keep_calm(key, board, calm_ms, first=True)
        # `or`: a store whose disk is full has not written it yet.
        self._calm[board] = CalmTime(self.store.calm_ms(key, board) or calm_ms)
        with self._lock:
            if self.nominal_ms is None:
                self.nominal_ms = self._of_boards(self._calm_times)
            return self.nominal_ms

    def agree_on_nominal(self, mine: float) -> float:
        """The nominal time that the store kept: another head may have been the first."""
        kept = self.store.nominal_ms(self.key(self.base.architecture))
        with self._lock:
            # The slowest is settled when all boards are calibrated, see `settle_nominal`.
            if kept is not None and self._whose != "slowest":
                self.nominal_ms = kept
            return self.nominal_ms or mine

    def seen_base(self, board: str, base_off: float) -> bool:
        """Take in how far the base was off a board's calm time in a batch, as a fraction.

        The nominal time stays, because readings share it. Returns whether the board is of another
        speed now: networks do not slow down alike, so canaries that were read before say nothing
        any more, and are forgotten. Where other boards of the kind answer, they do.
        """
        calm = self._calm.get(board)
        with self._lock:
            alone = not self._answering - {board}
        if calm is None or not calm.seen(base_off, alone=alone):
            return False
        self.store.keep_calm(self.key(self.base.architecture), board, calm.ms)
        if abs(base_off) <= OFF_CALM or not alone:
            return False
        self.canaries.forget()
        return True

    def settle_nominal(self) -> None:
        """Once every board that answers is calibrated: the time of a typical or the slowest one.

        A typical time that the store has already stays, because runs share it.
        """
        if self._whose == "slowest":
            self.nominal_ms = max(self._calm_times)

    def job(self, base: BaseNetwork, work: Sequence[tuple[str, Sequence[int]]], board: str) -> Job:
        """A job for candidates given as architecture and widths; for none, of the base alone."""
        protocol = self.board.protocol
        if protocol.between_batch_cv is None:
            squares, freedom = self.store.spread(self.conditions_key, self.target_key)
            target = self.board.target
            # For the class default alone; whether there is a GPU, only the board knows.
            gpu = on_gpu(target, present=True)
            shown = between_batches(squares, freedom, target.threads, gpu=gpu)
            if shown is not None:
                protocol = replace(protocol, between_batch_cv=shown[0], cv_source=shown[1])
        return Job(
            job_id=uuid.uuid4().hex,
            base_id=base.base_id,
            base_architecture=base.architecture,
            base_widths=base.widths,
            target=self.board.target,
            protocol=protocol,
            candidates=tuple(
                CandidateJob(architecture=name, widths=tuple(widths)) for name, widths in work
            ),
            # A job for none calibrates: it must not lean on what was believed before.
            base_nominal_ms=self.nominal_ms if work else None,
            base_calm_ms=self.calm_ms(board) if work else None,
        )

    def batch_limit(self) -> int:
        """How many candidates go into one batch."""
        size = len(self._base.onnx) if self._base else 1
        return max(1, min(BATCH, _BATCH_BYTES // size))

    def poison(self, request: Request) -> Failure | None:
        """The failure of a network that took too many boards down; None while it has not."""
        strikes = self.store.strikes(request.key)
        if len(strikes) < STRIKES:
            return None
        said = ", ".join(f"{board} ({verdict})" for board, verdict in strikes)
        failure = Failure(
            stage="poison",
            message=f"boards were lost {len(strikes)} times while they ran it: {said}",
            architecture=request.key.architecture,
        )
        with self._lock:
            # Several boards may come to it at once; the failure is stored once.
            if request.key.architecture not in self.poisoned:
                self.poisoned.append(request.key.architecture)
                self.store.add(request.key, failure)
        return failure

    def answers(self, board: str, yes: bool) -> None:
        """A board can measure from now on, or cannot any more."""
        with self._lock:
            (self._answering.add if yes else self._answering.discard)(board)
            # While nobody answers, the first moment of it counts.
            self._deserted_at = None if self._answering else self._deserted_at or time.monotonic()

    def retire(self, board: str, message: str) -> None:
        """Count on a board no more; when none is left, whoever waits is told why."""
        self.answers(board, False)
        with self._lock:
            self._at_hand.discard(board)
            if self._at_hand:
                return
        # Outside the lock: answers run callbacks of those who wait.
        said = f"no board of kind '{self.name}' is left: {message}"
        self.fail(self.queue.close(said), said)

    def fail(self, requests: Sequence[Request], message: str) -> None:
        """Tell who waits that no reading will come; that says nothing about the networks."""
        for request in requests:
            self.queue.answer(request, lost(request, message))

    @property
    def answering(self) -> int:
        """How many boards can measure at this moment."""
        # Never 0: the queue divides what is open by it.
        return max(1, len(self._answering))

    def deserted_s(self) -> float:
        """How long no board of this kind has been able to measure."""
        at = self._deserted_at
        return 0.0 if at is None else time.monotonic() - at

    def status(self) -> KindStatus:
        """The queue at this moment."""
        each = self.times.seconds_each()
        return KindStatus(
            kind=self.name,
            queue=self.queue.waiting,
            on_boards=self.queue.on_boards,
            cache_hits=self.hits,
            asked=self.asked,
            poisoned=len(self.poisoned),
            eta_device_minutes=None if each is None else self.queue.waiting * each / 60,
        )
