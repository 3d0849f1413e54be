"""The farm: boards that answer. Candidates go in, readings or failures come out, nothing twice."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from hwprune.board import Board
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError
from hwprune.farm.answers import Outcome
from hwprune.farm.board_pool import BoardPool, Nominal
from hwprune.farm.board_worker import BoardWorker
from hwprune.farm.recovery import PATIENCE_S
from hwprune.farm.session import BoardSession
from hwprune.farm.status import FarmStatus, write_status
from hwprune.farm.store import ReadingStore
from hwprune.futures import done
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes import EngineFile

Answer = TypeVar("Answer")
_STATUS_S = 1.0
_CLOSED = "the farm is closed"


class Farm:
    """Boards of one kind, a store of what they read, and a queue before them.

    Any number of threads may ask.

    Args:
        boards: alike; each is kept busy, and taken back when it was lost and answers again.
        store: of readings.
        nominal: whether latencies are those of a typical board of the kind or of the slowest.
        patience_s: how long candidates wait while no board answers, before they fail as "lost".
        what: the farm works for, as others shall read it.
    """

    def __init__(
        self,
        boards: Sequence[Board],
        store: ReadingStore,
        *,
        nominal: Nominal = "typical",
        patience_s: float = PATIENCE_S,
        what: str = "",
    ) -> None:
        self._store = store
        self._pool = BoardPool(boards, store, nominal)
        self._workers = [BoardWorker(board, self._pool, patience_s=patience_s) for board in boards]
        self._what = what
        # A process may have several farms, one after another or for several kinds.
        self._name = f"{self._pool.name}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._started_at = time.time()
        self._closed = threading.Event()
        self._writer: threading.Thread | None = None
        self._calibrating = threading.Lock()

    @property
    def boards(self) -> int:
        """How many there are."""
        return len(self._workers)

    @property
    def conditions_key(self) -> str:
        """Under which conditions its readings are kept; empty before it was started."""
        return self._pool.conditions_key

    @property
    def target_key(self) -> str:
        """The boards' target, as the store names it."""
        return self._pool.target_key

    def start(self) -> None:
        """Start every board; one that does not answer is waited for while others work.

        Raises:
            BoardError: no board answers, or the boards are not alike.
        """
        with ThreadPoolExecutor(len(self._workers)) as threads:
            attempts = [threads.submit(worker.recovery.reach) for worker in self._workers]
        errors = [e for a in attempts if (e := a.exception()) is not None]
        keys = {
            worker.name: attempt.result()
            for worker, attempt in zip(self._workers, attempts, strict=True)
            if attempt.exception() is None
        }
        # A fault of ours goes before any board that does not answer.
        strange = next((e for e in errors if not isinstance(e, BoardError)), None)
        if strange is not None or not keys:
            raise strange or errors[0]
        if len(set(keys.values())) > 1:
            raise BoardError(
                "the boards are not alike, so their readings cannot be mixed",
                given=", ".join(f"{name}: {key[:12]}" for name, key in keys.items()),
                possible="one kind: same processor, clocks, runtime and target",
                next_step="give them different kinds in their profiles, and compare them with "
                "`hwprune boards compare`",
            )
        self._pool.conditions_key = next(iter(keys.values()))
        for worker in self._workers:
            worker.serve(reached=worker.name in keys)
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def place(self, base: BaseNetwork) -> None:
        """Choose the network whose candidates are measured from now on."""
        self._pool.place(base)

    def calibrate(self) -> Outcome:
        """The unpruned network's reading, whose time every ratio is multiplied with.

        Each board that answers times the network beside itself in fresh processes. The kind's
        nominal time stays in the store, so that all runs under these conditions share it. A
        Failure when the boards are lost, or cannot run the network.
        """
        # One at a time: the second finds what the first has kept.
        with self._calibrating:
            answering = [w for w in self._workers if w.record.state in ("idle", "busy")]
            with ThreadPoolExecutor(max(1, len(answering))) as threads:
                outcomes = list(threads.map(lambda worker: worker.calibrate(), answering))
            good = [outcome for outcome in outcomes if isinstance(outcome, Reading)]
            if not good:
                lost = Failure(stage="lost", message="no board answers")
                return outcomes[0] if outcomes else lost
            self._pool.settle_nominal()
            assert self._pool.nominal_ms is not None
            return good[0].at_nominal(self._pool.nominal_ms)

    @property
    def calm_ms(self) -> float | None:
        """The placed network's time when nothing disturbs a board, as known by now.

        Below the nominal time where the boards were not calm when they were calibrated.
        """
        return self._pool.calmest_ms

    def measure(self, candidates: Sequence[Candidate]) -> list[Future[Outcome]]:
        """A future for each candidate; what the store knows is there at once."""
        return [self._ask(candidate) for candidate in candidates]

    def remeasure(self, candidate: Candidate, batches: int) -> list[Outcome]:
        """Fresh outcomes of one candidate, each from a process of its own; kept in the store."""
        key = self._pool.key_of(candidate)
        futures = [self._pool.queue.join(key, candidate, fresh=True) for _ in range(batches)]
        return [future.result() for future in futures]

    def run_network(self, model: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """All outputs of a real network, computed by a board, for one array an input (N first).

        Arrays come in the order of the graph; outputs in fp16 and bf16 come as float32. Who asks
        again for the same network does not send it again.

        Raises:
            BoardError: no board can.
        """
        return self._of_any(lambda session: session.run_network(model, inputs))

    def engine(self, model: bytes, inputs: Sequence[np.ndarray]) -> tuple[str, EngineFile] | None:
        """The engine that `run_network` ran on, and the board whose it is.

        None where the boards' runtime makes no engines.

        Raises:
            BoardError: no board can.
        """

        def named(session: BoardSession) -> tuple[str, EngineFile] | None:
            found = session.engine(model, inputs)
            return None if found is None else (session.board.name, found)

        return self._of_any(named)

    def _of_any(self, ask: Callable[[BoardSession], Answer]) -> Answer:
        """What the first board that can answers.

        Raises:
            BoardError: none can; what the last one said.
        """
        said = BoardError("no board answers")
        for worker in self._workers:
            # Twice: a supervisor that was lost while nothing was measured is started by the next.
            for _ in range(2):
                try:
                    return ask(worker.session)
                except BoardError as error:
                    said = error
        raise said

    def timings(self) -> dict[str, float]:
        """Seconds by stage (send, cut, build, warm, time, idle), busy_share, and candidates."""
        return self._pool.times.summary()

    def status(self) -> FarmStatus:
        """What every board does at this moment."""
        unwritten = self._store.unwritten
        warning = (
            f"the disk of {self._store.path} is full: {unwritten} entries wait in memory; free "
            "some space before this process ends"
        )
        return FarmStatus(
            farm=self._name,
            pid=os.getpid(),
            what=self._what,
            started_at=self._started_at,
            written_at=time.time(),
            boards=tuple(worker.record.status() for worker in self._workers),
            kinds=(self._pool.status(),),
            warnings=(warning,) if unwritten else (),
            closed=self._closed.is_set(),
        )

    @property
    def poisoned(self) -> tuple[str, ...]:
        """Architectures that are not sent any more because they took boards down."""
        return tuple(self._pool.poisoned)

    def close(self) -> None:
        """End boards and threads; whoever still waits gets a failure of stage "lost"."""
        # The queue first, so that no worker takes another batch.
        self._pool.fail(self._pool.queue.close(_CLOSED), _CLOSED)
        for worker in self._workers:
            worker.close()
        # After the boards, so that the status which stays shows them closed.
        self._closed.set()
        if self._writer is not None:
            self._writer.join()

    def _ask(self, candidate: Candidate) -> Future[Outcome]:
        key = self._pool.key_of(candidate)
        self._pool.asked += 1
        known = self._pool.known(key)
        if known is None:
            return self._pool.queue.join(key, candidate)
        self._pool.hits += 1
        return done(known)

    def _write(self) -> None:
        """Write the status down every second, the last time when the farm has closed."""
        while not self._closed.wait(_STATUS_S):
            # A status that cannot be written must not stop a measurement.
            with contextlib.suppress(OSError):
                write_status(self.status())
        with contextlib.suppress(OSError):
            write_status(self.status())
