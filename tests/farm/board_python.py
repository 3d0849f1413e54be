"""A board's Python with something wrong with it, to be named in a board's profile.

    python board_python.py TROUBLE … -B -c BOOT SIZE ARGUMENTS

runs what follows as the board's Python would, in trouble of the given kinds:

    killer          networks of KILLS channels in their first layer kill the supervisor
    late            the supervisor is late to pass on what its child says
    drift=FILE      while FILE is there, cut networks run half as slow again
    year-off        the clock is a year ahead
    simulated       it sleeps for its readings, on cores of its own
    drift-simulated=FILE  as `simulated`, and drifts as `drift` does
    slow-simulated=FILE  as `simulated`; while FILE is there all networks run slower, cut ones more
    liar            every latency is negative
    emulated        programs are told of another processor than the kernel knows
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

if TYPE_CHECKING:
    from hwprune_device.job import CandidateJob
    from hwprune_device.reading import Reading

ROOT = Path(__file__).parents[2]
KILLS = 11
YEAR_S = 365 * 86400.0
SLOWER = 1.4


def board_python(folder: Path, *troubles: str, start: str = "exec") -> str:
    """An executable that is such a Python; `start` may put a command before it."""
    script = folder / "python3"
    words = " ".join(f"'{word}'" for word in (sys.executable, __file__, *troubles))
    script.write_text(f'#!/bin/sh\n{start} {words} "$@"\n')
    script.chmod(0o755)
    return str(script)


def killer() -> None:
    """Networks of a certain width kill the supervisor, as a driver that takes a board down."""
    from hwprune_device.runtimes.onnxrt import runtime as onnxrt

    build = onnxrt.OnnxNetwork.__init__

    def kill(self: onnxrt.OnnxNetwork, model: bytes, *rest: object, **named: object) -> None:
        if first_width(model) == KILLS:
            os.kill(os.getppid(), 9)
            time.sleep(60)
        build(self, model, *rest, **named)  # type: ignore[arg-type]

    onnxrt.OnnxNetwork.__init__ = kill  # type: ignore[method-assign]


def late() -> None:
    """A supervisor that gets no processor for a while, as on a board that is busy."""
    from hwprune_device.measurement.batch import BatchRun

    take = BatchRun._take

    def later(self: BatchRun, *rest: Any) -> None:
        time.sleep(0.1)
        take(self, *rest)

    BatchRun._take = later  # type: ignore[method-assign]


def drift(flag: Path) -> None:
    """While the flag is there cut networks are slower, beside an unpruned one that is not."""
    from hwprune_device.runtimes.onnxrt import runtime as onnxrt

    build, run = onnxrt.OnnxNetwork.__init__, onnxrt.OnnxNetwork.run
    cut: dict[int, bool] = {}

    def note(self: onnxrt.OnnxNetwork, model: bytes, *rest: object, **named: object) -> None:
        cut[id(self)] = flag.exists() and first_width(model) != 16
        build(self, model, *rest, **named)  # type: ignore[arg-type]

    def slowly(self: onnxrt.OnnxNetwork) -> None:
        start = time.perf_counter()
        run(self)
        end = time.perf_counter()
        while cut[id(self)] and time.perf_counter() < end + (end - start) / 2:
            pass

    onnxrt.OnnxNetwork.__init__ = note  # type: ignore[method-assign]
    onnxrt.OnnxNetwork.run = slowly  # type: ignore[method-assign]


def year_off() -> None:
    """The wall clock is wrong; the monotonic one is not, as on a real board."""
    from hwprune_device.measurement import account

    truth = time.time

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: timezone | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(truth(), tz) + timedelta(seconds=YEAR_S)

    time.time = lambda: truth() + YEAR_S
    account.datetime = Ahead  # type: ignore[misc]


def simulated() -> None:
    """Many boards on one machine: each sleeps instead of timing, and has leases of its own."""
    import tempfile

    import hwprune_device.supervisor as supervisor
    from hwprune_device import lock_file
    from tests.doubles.simulated_run import SimulatedRun

    own = Path(tempfile.mkdtemp())
    lock_file.places = lambda: iter([own])
    supervisor.BatchRun = SimulatedRun  # type: ignore[misc,assignment]


def drift_simulated(flag: Path) -> None:
    """A drift that a disturbed machine cannot hide: nothing is timed."""
    from tests.doubles.simulated_run import SimulatedRun

    simulated()
    read = SimulatedRun._reading

    def slower(self: SimulatedRun, candidate: CandidateJob) -> Reading:
        reading = read(self, candidate)
        if not flag.exists() or reading.ratio == 1.0:
            return reading
        nominal = reading.base_nominal_ms
        slow = reading.at_nominal(1.5 * nominal)
        return replace(slow, base_nominal_ms=nominal, ratio=1.5 * reading.ratio)

    SimulatedRun._reading = slower  # type: ignore[method-assign]


def slow_simulated(flag: Path) -> None:
    """A machine of two speeds."""
    from hwprune_device.estimate import OFF_CALM
    from tests.doubles.simulated_run import SimulatedRun

    simulated()
    read = SimulatedRun._reading

    def at_speed(self: SimulatedRun, candidate: CandidateJob) -> Reading:
        reading, slow = read(self, candidate), flag.exists()
        base_ms = SLOWER if slow else 1.0
        off = base_ms / (self._job.base_calm_ms or base_ms) - 1
        nominal = self._job.base_nominal_ms or base_ms
        reading = reading.at_nominal(nominal * (SLOWER if slow and reading.ratio != 1 else 1.0))
        return replace(
            reading,
            base_nominal_ms=nominal,
            ratio=reading.latency_ms / nominal,
            base_ms=(base_ms,) * len(reading.base_ms),
            conditions={"base_off": off},
            doubts=(f"{off:+.0%} off its calm time",) if abs(off) > OFF_CALM else (),
        )

    SimulatedRun._reading = at_speed  # type: ignore[method-assign]


def liar() -> None:
    """A board whose answers cannot be."""
    from hwprune_device.supervisor import Supervisor

    send = Supervisor._send

    def lie(self: Supervisor, header: Mapping[str, Any], body: bytes = b"") -> None:
        if "reading" in header:
            header = {**header, "reading": {**header["reading"], "latency_ms": -1.0}}
        send(self, header, body)

    Supervisor._send = lie  # type: ignore[method-assign]


def emulated() -> None:
    """As under qemu-user, whose answer to "which machine?" is not the kernel's."""
    other = "x86_64" if platform.machine() == "aarch64" else "aarch64"
    platform.machine = lambda: other


def first_width(model: bytes) -> int:
    """Output channels of the first convolution; 0 where there is none."""
    weights = onnx.load_model_from_string(model).graph.initializer
    return next((w.dims[0] for w in weights if w.name == "w0"), 0)


def main(words: list[str]) -> None:
    """Get into trouble, then be the board's Python."""
    at = words.index("-B")
    troubles, (_, _, text, *arguments) = words[:at], words[at:]
    sys.path[:0] = [str(ROOT), str(ROOT / "devices")]
    kinds: Mapping[str, object] = {
        "killer": killer,
        "late": late,
        "drift": drift,
        "drift-simulated": drift_simulated,
        "slow-simulated": slow_simulated,
        "year-off": year_off,
        "emulated": emulated,
        "liar": liar,
        "simulated": simulated,
    }
    for trouble in troubles:
        name, _, value = trouble.partition("=")
        kinds[name](*([Path(value)] if value else []))  # type: ignore[operator]
    sys.argv = ["-c", *arguments]
    exec(compile(text, "boot", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main(sys.argv[1:])
