"""A session with one board: jobs in, outcomes out, over any connection and without Ray."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from hwprune.board import Board
from hwprune.channels.base import BaseNetwork
from hwprune.errors import BoardError
from hwprune.farm.connections import connect
from hwprune.farm.connections.connection import Connection, ConnectionLostError
from hwprune_device import PROTOCOL
from hwprune_device.conditions import conditions_key
from hwprune_device.frame import Frame
from hwprune_device.job import Job
from hwprune_device.reading import Failure, Reading

Outcome = Reading | Failure

_HELLO_S = 60.0
"""A slow board may take this long to import its runtime."""
_SILENCE_S = 60.0
"""A supervisor that is alive is heard every 5 s."""
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What a board says of itself."""

    version: str
    python: str
    cores: tuple[int, ...]
    runtimes: Mapping[str, Mapping[str, Any]]
    fingerprint: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Outcomes of a job in its order, and the seconds that went where."""

    outcomes: tuple[Outcome, ...]
    timings: Mapping[str, float]


class BoardSession:
    """Speaks to one board; starts its supervisor again when it dies."""

    def __init__(self, board: Board, connection: Connection | None = None) -> None:
        self.board = board
        self._connection = connection or connect(board)
        self._hello: Hello | None = None
        self._placed: set[str] = set()

    def open(self) -> Hello:
        """Start the supervisor, unless it runs, and hear what the board is.

        Raises:
            BoardError: it does not answer, speaks another protocol, or lacks the runtime.
        """
        if self._hello is None:
            self._connection.open()
            self._placed.clear()
            try:
                frame = self._connection.receive(_HELLO_S)
            except ConnectionLostError as error:
                raise self._error("does not answer", str(error)) from error
            self._hello = self._understand(frame)
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

        When the supervisor dies, what is open is done once more by a new one.

        Raises:
            BoardError: the board cannot be started (again).
        """
        count = max(1, len(job.candidates))
        outcomes: dict[int, Outcome] = {}
        timings: Counter[str] = Counter()
        error = ""
        for _ in range(_ATTEMPTS):
            left = [index for index in range(count) if index not in outcomes]
            part = replace(
                job, candidates=tuple(job.candidates[i] for i in left if job.candidates)
            )
            try:
                self._place(base)
                for index, outcome in self._run(part, timings):
                    outcomes[left[index]] = outcome
                break
            except ConnectionLostError as lost:
                error = str(lost)
                self.close()
        whole = tuple(outcomes.get(i) or _lost(job, i, error) for i in range(count))
        return Batch(outcomes=whole, timings=timings)

    def execute(self, model: bytes, inputs: np.ndarray) -> np.ndarray:
        """Run a network with its own weights on inputs (N C H W); its first output (N …).

        Raises:
            BoardError: the board does not answer, or cannot run the network.
        """
        self.open()
        inputs = np.ascontiguousarray(inputs)
        head = {
            "kind": "run",
            "runtime": self.board.target.runtime,
            "model_bytes": len(model),
            "shape": list(inputs.shape),
            "dtype": inputs.dtype.str,
        }
        try:
            self._connection.send(head, model + inputs.tobytes())
            answer = self._answer()
        except ConnectionLostError as error:
            self.close()
            raise self._error("was lost while it ran a network", str(error)) from error
        if answer.kind != "output":
            raise self._error("cannot run the network", str(answer.header.get("message", "")))
        output = np.frombuffer(answer.body, dtype=answer.header["dtype"])
        return output.reshape(answer.header["shape"])

    def _run(self, job: Job, timings: Counter[str]) -> Iterator[tuple[int, Outcome]]:
        """Send a job and yield its outcomes by index, as the board knows them."""
        self._connection.send({"kind": "measure", "job": job.to_json()})
        while True:
            frame = self._answer()
            header = frame.header
            if frame.kind == "outcome":
                yield int(header["index"]), _outcome(header)
            elif frame.kind == "done":
                timings.update(header["timings"])
                return
            else:
                raise self._error("refused a job", str(header.get("message", frame.kind)))

    def _place(self, base: BaseNetwork) -> None:
        """Put the base network on the board, once in a supervisor's life."""
        self.open()
        if base.base_id in self._placed:
            return
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

    def _understand(self, frame: Frame) -> Hello:
        header = frame.header
        if frame.kind != "hello" or header.get("protocol") != PROTOCOL:
            raise self._error(
                "speaks another protocol", f"{header.get('protocol')}; ours is {PROTOCOL}"
            )
        runtime = self.board.target.runtime
        if runtime not in header["runtimes"]:
            raise self._error(
                f"has no runtime '{runtime}'", f"it has {', '.join(header['runtimes']) or 'none'}"
            )
        return Hello(
            version=str(header["version"]),
            python=str(header["python"]),
            cores=tuple(header["cores"]),
            runtimes=header["runtimes"],
            fingerprint=header["fingerprint"],
        )

    def _error(self, what: str, given: str) -> BoardError:
        return BoardError(
            f"board '{self.board.name}' {what}", given=given, next_step="hwprune doctor"
        )


def _outcome(header: Mapping[str, Any]) -> Outcome:
    if "reading" in header:
        return Reading.from_json(header["reading"])
    return Failure.from_json(header["failure"])


def _lost(job: Job, index: int, error: str) -> Failure:
    architecture = job.candidates[index].architecture if job.candidates else job.base_architecture
    return Failure(
        stage="lost",
        message=f"the board was lost {_ATTEMPTS} times while it measured: {error}",
        architecture=architecture,
    )
