"""A session with one board: jobs in, outcomes out, over any connection and without Ray."""

from __future__ import annotations

import uuid
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from hwprune.board import Board
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError
from hwprune.farm.connections import connect
from hwprune.farm.connections.connection import Connection, ConnectionLostError
from hwprune.farm.hello import Hello, board_error, hello_of
from hwprune_device.arrays import pack, unpack
from hwprune_device.conditions.fingerprint import conditions_key
from hwprune_device.frame import Frame
from hwprune_device.job import Job
from hwprune_device.last_model import model_id
from hwprune_device.reading import Failure, Reading
from hwprune_device.runtimes import EngineFile, Part

Outcome = Reading | Failure

_HELLO_S = 60.0
"""A slow board may take this long to import its runtime."""
_SILENCE_S = 60.0
"""A supervisor that is alive is heard every 5 s."""
_CLOCK_OFF_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A board that went away while it measured."""

    at_work: tuple[str, ...]
    """Architectures that it last said it was working on; empty when that is not known."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Outcomes of a job in its order, and the seconds that went where."""

    outcomes: tuple[Outcome, ...]
    timings: Mapping[str, float]
    loss: Loss | None = None
    """Set when the board was lost on the way: what is open then failed with stage "lost"."""


class BoardSession:
    """Speaks to one board; a supervisor that was lost is started again by the next call.

    Args:
        board: to speak to.
        connection: another way than the board's profile says.
        owner: a name for this session that stays the same when it is made anew, so that what an
            earlier one left on the board is ended; empty for one of its own.
    """

    def __init__(
        self, board: Board, connection: Connection | None = None, *, owner: str = ""
    ) -> None:
        self.board = board
        arguments = ["--owner", owner or uuid.uuid4().hex]
        arguments += ["--denormals", str(board.target.options.get("denormals", "zero"))]
        arguments += ["--runtime", board.target.runtime]
        self._connection = connection or connect(board, arguments)
        self._hello: Hello | None = None
        self._placed: set[str] = set()
        self._last_model = ""
        """Content hash of the network that this supervisor was sent last."""
        self._at_work: list[int] = []

    def open(self) -> Hello:
        """Start the supervisor, unless it runs, and hear what the board is.

        Raises:
            BoardError: it does not answer, speaks another protocol, or lacks the runtime.
        """
        if self._hello is None:
            self._connection.open()
            self._placed.clear()
            self._last_model = ""
            try:
                frame = self._connection.receive(_HELLO_S)
            except ConnectionLostError as error:
                raise self._error("does not answer", str(error)) from error
            self._hello = hello_of(self.board, frame)
        return self._hello

    def close(self) -> None:
        """End the supervisor."""
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
        names = job.architectures
        outcomes: dict[int, Outcome] = {}
        timings: Counter[str] = Counter()
        self._at_work = []
        loss = None
        try:
            self._place(base)
            for index, outcome in self._run(job, timings):
                outcomes[index] = outcome
        except ConnectionLostError as lost:
            self.close()
            at_work = tuple(names[index] for index in self._at_work if index not in outcomes)
            loss = Loss(at_work=at_work, message=str(lost))
        said = f"the board was lost while it measured: {loss.message if loss else ''}"
        whole = tuple(
            outcomes.get(index) or Failure(stage="lost", message=said, architecture=name)
            for index, name in enumerate(names)
        )
        return Batch(outcomes=whole, timings=timings, loss=loss)

    def run_network(self, model: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run a network with its own weights: all its outputs, for one array an input (N first).

        The board keeps the network for the next call.

        Raises:
            BoardError: the board does not answer, or cannot run the network.
            ValueError: inputs that are neither numbers nor truth values.
        """
        self.open()
        answer = self._ask_to_run("run", model, inputs)
        if answer.kind != "outputs":
            raise self._error("cannot run the network", str(answer.header.get("message", "")))
        try:
            return unpack(answer.header["arrays"], answer.body)
        except (KeyError, TypeError, ValueError) as error:
            raise self._error("gave outputs that cannot be read", str(error)) from error

    def engine(self, model: bytes, inputs: Sequence[np.ndarray]) -> EngineFile | None:
        """The engine that `run_network` runs on; None where the runtime makes none.

        Raises:
            BoardError: the board does not answer, or cannot build the network.
        """
        if self.board.target.runtime not in self.open().engines:
            return None
        answer = self._ask_to_run("engine", model, inputs)
        if answer.kind != "engine":
            said = str(answer.header.get("message", ""))
            raise self._error("cannot give the network's engine", said)
        return _engine_of(answer)

    def profile(self, base: BaseNetwork) -> tuple[Part, ...] | str:
        """What each kernel of a base network takes; in words why, where the board cannot tell.

        Raises:
            BoardError: the board does not answer, or cannot run the network.
        """
        try:
            self._place(base)
            head = {"kind": "profile", "base_id": base.base_id}
            self._connection.send({**head, "target": asdict(self.board.target)})
            answer = self._answer()
        except ConnectionLostError as error:
            self.close()
            raise self._error("was lost while it profiled a network", str(error)) from error
        if answer.kind == "no_profile":
            return str(answer.header["message"])
        if answer.kind != "profile":
            raise self._error("cannot profile the network", str(answer.header.get("message", "")))
        return tuple(Part(**part) for part in answer.header["parts"])

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
        try:
            if self._last_model == wanted:
                self._connection.send({**head, "model_bytes": 0}, body)
                answer = self._answer()
                if answer.kind != "unknown_model":
                    return answer
            self._connection.send({**head, "model_bytes": len(model)}, model + body)
            self._last_model = wanted
            return self._answer()
        except ConnectionLostError as error:
            self.close()
            raise self._error("was lost while it ran a network", str(error)) from error

    def _run(self, job: Job, timings: Counter[str]) -> Iterator[tuple[int, Outcome]]:
        """Send a job and yield its outcomes by index, as the board knows them."""
        self._connection.send({"kind": "measure", "job": job.to_json()})
        while True:
            frame = self._answer()
            header = frame.header
            if frame.kind == "outcome":
                yield int(header["index"]), self._outcome(header)
            elif frame.kind == "at":
                self._at_work = [int(index) for index in header["indices"]]
            elif frame.kind == "done":
                timings.update(header["timings"])
                return
            else:
                raise self._error("refused a job", str(header.get("message", frame.kind)))

    def _outcome(self, header: Mapping[str, Any]) -> Outcome:
        """An outcome under our own clock and our own name of the board."""
        if "reading" not in header:
            return Failure.from_json(header["failure"])
        reading = Reading.from_json(header["reading"])
        off_s = self._hello.clock_off_s if self._hello else 0.0
        conditions = dict(reading.conditions)
        if abs(off_s) > _CLOCK_OFF_S:
            conditions["board_clock_off_s"] = round(off_s)
        taken_at = datetime.now(UTC).isoformat(timespec="seconds")
        return replace(reading, taken_at=taken_at, board=self.board.name, conditions=conditions)

    def _place(self, base: BaseNetwork) -> None:
        """See that the board has the base network; it is sent only where the board kept none."""
        self.open()
        if base.base_id in self._placed:
            return
        self._connection.send({"kind": "have", "base_id": base.base_id})
        answer = self._answer()
        if answer.kind != "placed":
            head = {"kind": "place", "base_id": base.base_id, "plan": base.plan.to_json()}
            self._connection.send(head, zlib.compress(base.onnx, 1))
            answer = self._answer()
        if answer.kind != "placed":
            raise self._error("refused the network", str(answer.header.get("message", "")))
        self._placed.add(base.base_id)

    def _answer(self) -> Frame:
        """The next frame that is more than a sign of life."""
        while True:
            frame = self._connection.receive(_SILENCE_S)
            if frame.kind != "alive":
                return frame

    def _error(self, what: str, given: str) -> BoardError:
        return board_error(self.board, what, given)


def _engine_of(answer: Frame) -> EngineFile:
    """An engine's files, which lie one after another in an answer."""
    facts, files, at = answer.header["facts"], {}, 0
    for name, size in facts["bytes"].items():
        files[name] = bytes(answer.body[at : at + size])
        at += size
    return EngineFile(files=files, facts=facts)
