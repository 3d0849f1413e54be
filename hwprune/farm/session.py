"""A session with one board: jobs in, outcomes out, over any connection."""

from __future__ import annotations

import threading
import time
import uuid
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from hwprune.board import Board
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError
from hwprune.farm.answers import (
    AnswerError,
    Outcome,
    arrays_of,
    at_work_of,
    checked,
    engine_of,
    hello_of,
    message_of,
    outcome_of,
    parts_of,
    timings_of,
)
from hwprune.farm.batch import Batch, Loss
from hwprune.farm.connections import connect
from hwprune.farm.connections.connection import Connection, ConnectionLostError
from hwprune.farm.hello import Hello, board_error
from hwprune_device.arrays import pack
from hwprune_device.conditions.fingerprint import conditions_key
from hwprune_device.frame import Frame
from hwprune_device.job import Job
from hwprune_device.last_model import model_id
from hwprune_device.reading import Failure
from hwprune_device.runtimes import EngineFile, Part
from hwprune_device.runtimes.registry import patience_s

Answer = TypeVar("Answer")
_HELLO_S = 60.0
"""A slow board may take this long to import its runtime."""
_SILENCE_S = 60.0
"""A supervisor that is alive sends a frame every 5 s."""
_RUN_S = 300.0
"""Beside the patience of its runtime: what a board may take to run or profile a network."""
_CLOCK_OFF_S = 60.0


class BoardSession:
    """Exchanges frames with one board; a supervisor that was lost is started by the next call.

    Several threads may ask; they wait for each other. Every supervisor that one session starts has
    the same owner, so that what a cut link left on the board is ended by the next one.

    Args:
        board: whose supervisor it starts.
        connection: another way than the board's profile says.
    """

    def __init__(self, board: Board, connection: Connection | None = None) -> None:
        self.board = board
        arguments = ["--owner", uuid.uuid4().hex]
        arguments += ["--denormals", str(board.target.options.get("denormals", "zero"))]
        arguments += ["--runtime", board.target.runtime]
        self._connection = connection or connect(board, arguments)
        self._asking = threading.RLock()
        self._hello: Hello | None = None
        self._placed: set[str] = set()
        self._last_model = ""
        """Content hash of the network that this supervisor was sent last."""
        self._at_work: list[int] = []

    def open(self) -> Hello:
        """Start the supervisor, unless it runs, and receive what the board is.

        Raises:
            BoardError: it does not answer, has another protocol, or lacks the runtime.
        """
        with self._asking:
            if self._hello is None:
                self._connection.open()
                # Whether a board has kept bases of earlier supervisors is asked one by one.
                self._placed.clear()
                self._last_model = ""
                try:
                    frame = checked(self._connection.receive(_HELLO_S))
                    self._hello = hello_of(self.board, frame)
                except ConnectionLostError as error:
                    self.close()
                    raise self._error("does not answer as a board", str(error)) from error
            return self._hello

    def close(self) -> None:
        """End the supervisor, whatever it is at."""
        # Without the lock: it also ends a call that another thread waits in.
        self._hello = None
        self._connection.close()

    def __enter__(self) -> BoardSession:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def conditions_key(self) -> str:
        """Which readings of the store were taken under this board's conditions."""
        hello = self.open()
        target = asdict(self.board.target)
        runtime = hello.runtimes[self.board.target.runtime]
        energy = self.board.protocol.energy_s > 0
        return conditions_key(hello.fingerprint, runtime, target, energy=energy)

    def measure(self, job: Job, base: BaseNetwork) -> Batch:
        """Time a batch. Never raises for a network's sake: each candidate has its outcome.

        Raises:
            BoardError: the board cannot be started.
        """
        known: dict[int, Outcome] = {}
        with self._asking:
            self.open()
            self._at_work = []
            try:
                self._place(base)
                timings = self._run(job, known)
            # First, as an AnswerError is a lost connection, too.
            except (AnswerError, BoardError) as error:
                self.close()
                return Batch.lost(job, Loss(message=str(error), nonsense=True), known)
            except ConnectionLostError as error:
                self.close()
                names = job.architectures
                at_work = tuple(names[index] for index in self._at_work if index not in known)
                return Batch.lost(job, Loss(at_work=at_work, message=str(error)), known)
        outcomes = tuple(known[index] for index in range(len(job.architectures)))
        return Batch(outcomes=outcomes, timings=timings)

    def run_network(self, model: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run a network with its own weights: all its outputs, for one array an input (N first).

        The board keeps the network for the next call.

        Raises:
            BoardError: the board does not answer, or cannot run the network.
            ValueError: inputs that are neither numbers nor truth values.
        """
        self.open()
        answer = self._ask_to_run("run", model, inputs)
        return self._read(answer, "outputs", arrays_of, "cannot run the network")

    def engine(self, model: bytes, inputs: Sequence[np.ndarray]) -> EngineFile | None:
        """The engine that `run_network` runs on; None where the runtime makes none.

        Raises:
            BoardError: the board does not answer, or cannot build the network.
        """
        if self.board.target.runtime not in self.open().engines:
            return None
        answer = self._ask_to_run("engine", model, inputs)
        return self._read(answer, "engine", engine_of, "cannot give the network's engine")

    def profile(self, base: BaseNetwork) -> tuple[Part, ...] | str:
        """What each kernel of a base network takes; where the board cannot profile, why, as text.

        Raises:
            BoardError: the board does not answer, or cannot run the network.
        """
        with self._asking:
            try:
                self._place(base)
                head = {"kind": "profile", "base_id": base.base_id}
                self._connection.send({**head, "target": asdict(self.board.target)})
                answer = self._answer(self._run_until)
            except ConnectionLostError as error:
                self.close()
                raise self._error("was lost while it profiled a network", str(error)) from error
        if answer.kind == "no_profile":
            return message_of(answer.header)
        return self._read(answer, "profile", parts_of, "cannot profile the network")

    def _read(
        self, answer: Frame, wanted: str, read: Callable[[Frame], Answer], failed: str
    ) -> Answer:
        """What an answer of the `wanted` kind says.

        Raises:
            BoardError: it is of another kind, or says what cannot be.
        """
        if answer.kind != wanted:
            raise self._error(failed, message_of(answer.header))
        try:
            return read(answer)
        except AnswerError as error:
            self.close()
            raise self._error("gave what cannot be", str(error)) from error

    def _ask_to_run(self, kind: str, model: bytes, inputs: Sequence[np.ndarray]) -> Frame:
        """Send inputs, and before them the network, unless it is there; the board's answer."""
        told, body = pack(inputs)
        wanted = model_id(model)
        head = {
            "kind": kind,
            "target": asdict(self.board.target),
            "model_id": wanted,
            "arrays": told,
        }
        with self._asking:
            try:
                if self._last_model == wanted:
                    self._connection.send({**head, "model_bytes": 0}, body)
                    answer = self._answer(self._run_until)
                    if answer.kind != "unknown_model":
                        return answer
                self._connection.send({**head, "model_bytes": len(model)}, model + body)
                # Only now: a send that broke off has left nothing there.
                self._last_model = wanted
                return self._answer(self._run_until)
            except ConnectionLostError as error:
                self.close()
                raise self._error("was lost while it ran a network", str(error)) from error

    def _run(self, job: Job, known: dict[int, Outcome]) -> dict[str, float]:
        """Send a job and take in its outcomes, by place; seconds by stage."""
        self._connection.send({"kind": "measure", "job": job.to_json()})
        until = time.monotonic() + _limit_s(job)
        while True:
            frame = self._answer(until)
            if frame.kind == "outcome":
                index, outcome = outcome_of(frame.header, job, known)
                known[index] = self._as_ours(outcome)
            elif frame.kind == "at":
                self._at_work = at_work_of(frame.header, job)
            elif frame.kind == "done":
                return timings_of(frame.header, job, known)
            else:
                raise AnswerError(f"it refused a job: {message_of(frame.header)}")

    def _as_ours(self, outcome: Outcome) -> Outcome:
        """An outcome under our own clock and our own name of the board."""
        if isinstance(outcome, Failure):
            return outcome
        off_s = self._hello.clock_off_s if self._hello else 0.0
        conditions = dict(outcome.conditions)
        if abs(off_s) > _CLOCK_OFF_S:
            conditions["board_clock_off_s"] = round(off_s)
        # A board's clock may be off by years, and readings are listed and thinned out by theirs.
        taken_at = datetime.now(UTC).isoformat(timespec="seconds")
        return replace(outcome, taken_at=taken_at, board=self.board.name, conditions=conditions)

    def _place(self, base: BaseNetwork) -> None:
        """See that the board has the base network; it is sent only where the board kept none."""
        self.open()
        if base.base_id in self._placed:
            return
        self._connection.send({"kind": "have", "base_id": base.base_id})
        until = time.monotonic() + _RUN_S
        answer = self._answer(until)
        if answer.kind != "placed":
            head = {"kind": "place", "base_id": base.base_id, "plan": base.plan.to_json()}
            self._connection.send(head, zlib.compress(base.onnx, 1))
            answer = self._answer(until)
        if answer.kind != "placed":
            raise self._error("refused the network", message_of(answer.header))
        self._placed.add(base.base_id)

    @property
    def _run_until(self) -> float:
        return time.monotonic() + _RUN_S + patience_s(self.board.target)

    def _answer(self, until: float) -> Frame:
        """The next frame that is more than a sign of life.

        Raises:
            ConnectionLostError: none came, or signs of life alone until that moment.
        """
        while True:
            # Two limits: silence means a lost board, signs of life alone a job that hangs.
            frame = self._connection.receive(_SILENCE_S)
            if frame.kind != "alive":
                return checked(frame)
            if time.monotonic() > until:
                raise ConnectionLostError("the supervisor is alive and does not answer")

    def _error(self, what: str, given: str) -> BoardError:
        return board_error(self.board, what, given)


def _limit_s(job: Job) -> float:
    """What a batch may take: every candidate may hang once; beyond that the supervisor does."""
    each_s = job.protocol.timeout_s * 2 + patience_s(job.target)
    return (len(job.candidates) + 2) * each_s + 4 * job.protocol.cap_s + _HELLO_S
