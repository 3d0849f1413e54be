"""A real supervisor in a process of its own, spoken to in frames."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hwprune_device.arrays import pack, unpack
from hwprune_device.frame import Frame, encode, read_frames, write_frame
from hwprune_device.job import Job, Target
from hwprune_device.last_model import model_id
from hwprune_device.plan import CutPlan
from hwprune_device.reading import Failure, Reading

ROOT = Path(__file__).parents[2]


class Board:
    """The head's end of a supervisor."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin and process.stdout
        self.process = process
        self._out = process.stdin.fileno()
        self._frames = read_frames(process.stdout.fileno())
        self.hello = next(self._frames)
        self.done: dict = {}
        self.sent = 0
        """Bytes that went to it."""

    def send(self, header: dict, body: bytes = b"") -> None:
        self.sent += len(encode(header, body))
        write_frame(self._out, header, body)

    def answer(self) -> Frame:
        """The next frame that is no sign of life."""
        return next(frame for frame in self._frames if frame.kind not in ("alive", "at"))

    def have(self, base_id: str) -> bool:
        """Whether it has a base network without being sent it."""
        self.send({"kind": "have", "base_id": base_id})
        answer = self.answer()
        assert answer.kind in ("placed", "unknown_base"), answer
        return answer.kind == "placed"

    def place(self, model: bytes, plan: CutPlan, base_id: str = "chain") -> None:
        head = {"kind": "place", "base_id": base_id, "plan": plan.to_json()}
        self.send(head, zlib.compress(model))
        assert self.answer().kind == "placed"

    def run(
        self, model: bytes, inputs: Sequence[np.ndarray], target: Target, kind: str = "run"
    ) -> Frame:
        """What a whole network gives for its inputs, or its engine."""
        self.send(*run_frame(model, inputs, target, kind))
        return self.answer()

    def measure(self, job: Job) -> dict[str, Reading | Failure]:
        """Outcomes by architecture."""
        self.send({"kind": "measure", "job": job.to_json()})
        outcomes = {}
        while (frame := self.answer()).kind == "outcome":
            outcome = _outcome(frame)
            outcomes[outcome.architecture] = outcome
        assert frame.kind == "done", frame
        self.done = dict(frame.header)
        return outcomes


def run_frame(
    model: bytes, inputs: Sequence[np.ndarray], target: Target, kind: str = "run"
) -> tuple[dict, bytes]:
    """Header and body of a request that brings its network along."""
    told, body = pack(inputs)
    head = {"kind": kind, "target": asdict(target), "model_id": model_id(model), "arrays": told}
    return {**head, "model_bytes": len(model)}, model + body


def outputs(frame: Frame) -> list[np.ndarray]:
    """The arrays that a network gave."""
    assert frame.kind == "outputs", frame.header
    return unpack(frame.header["arrays"], frame.body)


def _outcome(frame: Frame) -> Reading | Failure:
    if "reading" in frame.header:
        return Reading.from_json(frame.header["reading"])
    return Failure.from_json(frame.header["failure"])


@contextmanager
def running(
    main: Sequence[str] = ("-m", "hwprune_device"),
    *,
    python: str = sys.executable,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Board]:
    """A supervisor on the last core, ended by closing its stdin as a head does.

    `python` is the board's own; `settings` are further environment variables.
    """
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([str(ROOT), str(ROOT / "devices"), *filter(None, [before])])
    environment = {**os.environ, "PYTHONPATH": path, **(settings or {})}
    process = subprocess.Popen(
        [python, *main, "--cores", "last"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=ROOT,
    )
    try:
        yield Board(process)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
