"""The supervisor: the one long-lived process on a board; it answers frames and forks children."""

from __future__ import annotations

import os
import platform
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hwprune_device import PROTOCOL, __version__, quiet
from hwprune_device.arrays import pack
from hwprune_device.bases import Bases
from hwprune_device.bounded_folder import BoundedFolder
from hwprune_device.conditions import gpu
from hwprune_device.conditions.fingerprint import fingerprint
from hwprune_device.conditions.gpu_presence import has_gpu, on_gpu
from hwprune_device.frame import Frame, write_frame
from hwprune_device.inbox import Inbox
from hwprune_device.job import Job, Target
from hwprune_device.last_model import LastModel
from hwprune_device.lease import lease
from hwprune_device.measurement.account import Setup
from hwprune_device.measurement.batch import BatchRun
from hwprune_device.measurement.fork import Report, Watch, run_in_child
from hwprune_device.measurement.marker import NOBODY, Marker
from hwprune_device.owner import Previous
from hwprune_device.run_request import RunRequest
from hwprune_device.runtimes import (
    Compiling,
    NoProfileError,
    Profiled,
    Runtime,
    UnknownRuntimeError,
    available,
)
from hwprune_device.runtimes.registry import patience_s

BEAT_S = 5.0
"""While a batch runs the head hears from the board at least this often."""
BASES_MB = 500.0
"""What the networks that are kept may take on a board's disk."""
_RUN_TIMEOUT_S = 120.0
_PROFILE_TIMEOUT_S = 600.0
"""It is of a few dozen runs."""
_KEEP_TIMEOUT_S = 60.0
"""A disk that needs longer to take a network in is no place to keep one."""
_GPU_TIMEOUT_S = 20.0
"""A driver that was asleep takes seconds to start."""


class Supervisor:
    """Serves one head over two file descriptors until the head closes its end."""

    def __init__(
        self,
        inbox: Inbox,
        outgoing: int,
        cores: tuple[int, ...],
        kept: BoundedFolder,
        previous: Previous = "none",
        runtimes: Sequence[str] = (),
    ) -> None:
        """`kept`: where base networks outlive this supervisor; `previous`: how the same owner's
        last one ended, for the head to know; `runtimes`: those that are wanted, by default all.
        """
        self._inbox = inbox
        self._out = outgoing
        self._cores = cores
        self._previous = previous
        self._runtimes: dict[str, Runtime]
        self._runtimes, self._missing = available(runtimes)
        self._warmed: set[str] = set()
        # A runtime that was asked for is warmed now, so that the first batch does not wait for it.
        for name in runtimes:
            if name in self._runtimes:
                self._runtime(name)
        self._bases = Bases(kept)
        self._last = LastModel()
        self._board = {**fingerprint(cores), **_gpu_there()}
        self._last_beat = 0.0

    def serve(self) -> None:
        """Say hello and answer requests, one after another.

        Raises:
            HeadGoneError: the head fell silent, or closed the stream while a batch ran.
            FrameError: the head sent something that is no frame.
        """
        self._send(self._hello())
        verbs = {
            "have": self._have,
            "place": self._place,
            "measure": self._measure,
            "run": self._run,
            "engine": self._engine,
            "profile": self._profile,
        }
        for frame in self._inbox.frames():
            verb = verbs.get(frame.kind)
            if verb is None:
                self._send({"kind": "error", "message": f"no request is called '{frame.kind}'"})
                continue
            try:
                verb(frame)
            except (UnknownRuntimeError, KeyError, TypeError, ValueError, zlib.error) as error:
                # A request that makes no sense is answered; the supervisor lives on.
                message = f"{frame.kind}: {type(error).__name__}: {error}"
                self._send({"kind": "error", "message": message})

    def _hello(self) -> dict[str, Any]:
        return {
            "kind": "hello",
            "protocol": PROTOCOL,
            "version": __version__,
            "python": platform.python_version(),
            "pid": os.getpid(),
            "previous": self._previous,
            "clock_s": time.time(),
            "cores": list(self._cores),
            "runtimes": {name: dict(r.describe()) for name, r in self._runtimes.items()},
            "engines": [name for name, r in self._runtimes.items() if isinstance(r, Compiling)],
            "missing": self._missing,
            "fingerprint": self._board,
        }

    def _have(self, frame: Frame) -> None:
        """Say whether a base network is here, so that it need not be sent."""
        base_id = str(frame.header["base_id"])
        here = self._bases.find(base_id) is not None
        self._send({"kind": "placed" if here else "unknown_base", "base_id": base_id})

    def _place(self, frame: Frame) -> None:
        """Keep a base graph (zlib in the body) and its cut plan under their content hash."""
        base_id, plan = str(frame.header["base_id"]), frame.header["plan"]
        if self._bases.find(base_id) is None:
            # In memory first: the batch goes on whatever the disk does.
            self._bases.place(base_id, plan, frame.body)
            self._aside(lambda: self._bases.keep(base_id, plan, frame.body))
        self._send({"kind": "placed", "base_id": base_id})

    def _measure(self, frame: Frame) -> None:
        """Time a batch; outcomes are sent as they are known."""
        job = Job.from_json(frame.header["job"])
        base = self._bases.find(job.base_id)
        if base is None:
            self._send({"kind": "unknown_base", "base_id": job.base_id})
            return
        setup = Setup(
            cutter=base.cutter,
            free=dict.fromkeys(base.symbols, job.target.batch),
            runtime=self._runtime(job.target.runtime),
            cores=self._cores,
            board=self._board,
        )
        on = on_gpu(job.target, present=has_gpu())
        with lease(self._cores, self._wait, gpu=on), quiet.timing():
            # Within both: others on these cores wait, and scorers on this machine rest.
            BatchRun(job, setup, self._send, inbox=self._inbox, beat=self._beat).run()

    def _run(self, frame: Frame) -> None:
        """Run a network with its own weights on given inputs and send all its outputs."""
        asked = self._asked(frame)
        if asked is None:
            return
        runtime = self._runtime(asked.target.runtime)

        def work(report: Report, marker: Marker) -> None:
            marker.note(NOBODY, "run")
            told, body = pack(runtime.run_network(asked.model, asked.inputs, asked.target))
            report({"kind": "outputs", "arrays": told}, body)

        self._answer(work, asked.target, "run", "outputs")

    def _engine(self, frame: Frame) -> None:
        """Send the engine that `run` runs a network on; built now, where it was not kept."""
        asked = self._asked(frame)
        if asked is None:
            return
        runtime = self._runtime(asked.target.runtime)
        if not isinstance(runtime, Compiling):
            raise ValueError(f"runtime '{asked.target.runtime}' makes no engines")

        def work(report: Report, marker: Marker) -> None:
            marker.note(NOBODY, "run")
            found = runtime.engine(asked.model, asked.inputs, asked.target)
            report({"kind": "engine", "facts": found.to_json()}, b"".join(found.files.values()))

        self._answer(work, asked.target, "engine", "engine")

    def _profile(self, frame: Frame) -> None:
        """Send what each kernel of a base network takes, or why the runtime cannot time them."""
        base_id, target = str(frame.header["base_id"]), Target(**frame.header["target"])
        base, runtime = self._bases.find(base_id), self._runtime(target.runtime)
        if base is None:
            self._send({"kind": "unknown_base", "base_id": base_id})
            return
        if not isinstance(runtime, Profiled):
            why = f"runtime '{target.runtime}' does not tell what its kernels take"
            self._send({"kind": "no_profile", "message": why})
            return

        def work(report: Report, marker: Marker) -> None:
            """Profile the unpruned network in the child; report its parts, or why not."""
            marker.note(NOBODY, "run")
            model = base.cutter.cut_to(base.cutter.plan.widths)
            free = dict.fromkeys(base.symbols, target.batch)
            try:
                parts = runtime.profile(model, target, free)
            except NoProfileError as error:
                report({"kind": "no_profile", "message": str(error)})
            else:
                report({"kind": "profile", "parts": [asdict(part) for part in parts]})

        on = on_gpu(target, present=has_gpu())
        with lease(self._cores, self._wait, gpu=on), quiet.timing():
            kinds = ("profile", "no_profile")
            self._answer(work, target, "profile", *kinds, timeout_s=_PROFILE_TIMEOUT_S)

    def _asked(self, frame: Frame) -> RunRequest | None:
        """Return what shall run; None, and a frame that says so, where the network is missing."""
        asked = RunRequest.of(frame, self._last)
        if asked is None:
            self._send({"kind": "unknown_model", "model_id": frame.header["model_id"]})
        return asked

    def _answer(
        self,
        work: Callable[[Report, Marker], None],
        target: Target,
        asked: str,
        *wanted: str,
        timeout_s: float = _RUN_TIMEOUT_S,
    ) -> None:
        """Send on a child's frame, if its kind is `wanted`, else why there is none."""
        answers: list[Frame] = []
        watch = Watch(
            timeout_s=timeout_s + patience_s(target),
            memory_limit_mb=None,
            on_frame=answers.append,
            beat=self._beat,
            inbox=self._inbox,
        )
        ending = run_in_child(work, watch)
        if answers and answers[0].kind in wanted:
            self._send(answers[0].header, answers[0].body)
            return
        said = [str(a.header.get("message", "")) for a in answers]
        self._send({"kind": "error", "message": "\n".join([f"{asked}: {ending.message}", *said])})

    def _aside(self, work: Callable[[], None]) -> None:
        """Do in a child what may take a while and may fail: the head gets beats meanwhile."""
        watch = Watch(
            timeout_s=_KEEP_TIMEOUT_S,
            memory_limit_mb=None,
            on_frame=lambda frame: None,
            beat=self._beat,
            inbox=self._inbox,
        )
        run_in_child(lambda report, marker: work(), watch)

    def _runtime(self, name: str) -> Runtime:
        if name not in self._runtimes:
            why = self._missing.get(name, f"no runtime is called '{name}'")
            raise UnknownRuntimeError(f"{why}; it has: {', '.join(self._runtimes) or 'none'}")
        # In this process, so that every child inherits it; and not before it is asked for.
        if name not in self._warmed:
            try:
                self._runtimes[name].warm()
            except ImportError as error:
                raise UnknownRuntimeError(
                    f"runtime '{name}' cannot be used on this board: {error}"
                ) from error
            self._warmed.add(name)
        return self._runtimes[name]

    def _send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        write_frame(self._out, header, body)
        self._last_beat = time.monotonic()

    def _wait(self, waited_s: float) -> None:
        """While others hold the cores: a sign of life, and a look whether the head still waits."""
        self._inbox.look()
        self._beat(waited_s=waited_s)

    def _beat(self, waited_s: float = 0.0) -> None:
        if time.monotonic() - self._last_beat > BEAT_S:
            self._send({"kind": "alive", "waited_s": waited_s})


def _gpu_there() -> dict[str, Any]:
    """What GPU the board has, asked in a child: who forks must not have touched a driver."""
    if not has_gpu():
        return {}
    told: list[Frame] = []
    watch = Watch(
        timeout_s=_GPU_TIMEOUT_S,
        memory_limit_mb=None,
        on_frame=told.append,
        beat=lambda: None,
    )
    run_in_child(lambda report, _marker: report({"kind": "gpu", "gpu": gpu.identity()}), watch)
    found = next((frame.header["gpu"] for frame in told if frame.kind == "gpu"), None)
    return {"gpu": found} if found else {}
