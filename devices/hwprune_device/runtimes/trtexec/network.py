"""A network that the program trtexec builds and runs: an engine file, and a process a run."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, pstdev, quantiles
from typing import Any

import numpy as np

from hwprune_device.reading import Memory
from hwprune_device.runtimes.scratch import scratch
from hwprune_device.runtimes.trtexec.program import Trtexec, TrtexecError, outputs_of, times_ms

_PRECISION_FLAGS: Mapping[str, tuple[str, ...]] = {
    "fp32": (),
    "tf32": (),
    "fp16": ("--fp16",),
    "bf16": ("--bf16",),
    "int8": ("--int8", "--fp16"),
}
"""Where the graph alone does not say it: what the builder may use besides fp32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What the program built, and what that took."""

    plan: bytes
    seconds: float
    cached: bool = False
    """Whether it was built at another time."""

    def pack(self) -> bytes:
        """As one piece to keep."""
        digest = hashlib.sha256(self.plan).hexdigest()
        return json.dumps({"seconds": self.seconds, "sha256": digest}).encode() + b"\n" + self.plan

    @classmethod
    def unpack(cls, data: bytes | None) -> Engine | None:
        """The inverse of `pack`; None where nothing whole was kept."""
        story, _, plan = (data or b"").partition(b"\n")
        try:
            fields = json.loads(story)
            if fields["sha256"] != hashlib.sha256(plan).hexdigest():
                return None
            return cls(plan=plan, seconds=float(fields["seconds"]), cached=True)
        except (ValueError, KeyError, TypeError):
            return None


def build(
    program: Trtexec,
    graph: bytes,
    precision: str,
    options: Mapping[str, Any],
    alive: Callable[[], None],
    timings: bytes,
) -> tuple[Engine, bytes]:
    """An engine, and the builder's times of kernels, `timings` among them.

    Raises:
        MemoryError: too little memory.
        TimeoutError: longer than the option `build_timeout_s`.
        TrtexecError: TensorRT refused the graph.
        ValueError: a flag that this release does not have.
    """
    start = time.monotonic()
    with scratch(2 * len(graph)) as name:
        folder = Path(name)
        model, plan, cache = (folder / part for part in ("model.onnx", "plan", "timings"))
        model.write_bytes(graph)
        flags = build_flags(program, precision, options)
        if program.has("--timingCacheFile"):
            if timings:
                cache.write_bytes(timings)
            flags.append(f"--timingCacheFile={cache}")
        program.run(
            [f"--onnx={model}", f"--saveEngine={plan}", *flags],
            folder / "log",
            timeout_s=options["build_timeout_s"],
            alive=alive,
        )
        if not plan.is_file():
            raise TrtexecError("trtexec ended well and wrote no engine")
        engine = Engine(plan=plan.read_bytes(), seconds=time.monotonic() - start)
        return engine, cache.read_bytes() if cache.is_file() else b""


def build_flags(program: Trtexec, precision: str, options: Mapping[str, Any]) -> list[str]:
    """How the program is told to build and not to run.

    Raises:
        ValueError: a flag that this release does not have.
    """
    flags = [program.one_of(("--skipInference", "--buildOnly"), "a build without runs")]
    if precision == "fp32":
        # TensorRT computes in tf32 unless it is told not to.
        flags.append(program.need("--noTF32", "fp32"))
    if not program.strongly_typed:
        flags += [program.need(flag, precision) for flag in _PRECISION_FLAGS[precision]]
    if options["workspace_mb"] is not None:
        mebibytes = max(1, int(options["workspace_mb"] * 1e6 / 2**20))
        flags.append(
            f"{program.need('--memPoolSize', 'option workspace_mb')}=workspace:{mebibytes}"
        )
    level = options["builder_level"]
    if program.has("--builderOptimizationLevel") or level != 3:
        flag = program.need("--builderOptimizationLevel", "option builder_level")
        flags.append(f"{flag}={level}")
    if options["dla"] is not None and options["fallback"] == "allow":
        flags.append("--allowGPUFallback")
    return flags + _dla_flags(options)


def run_flags(program: Trtexec, options: Mapping[str, Any], *, transfers: bool) -> list[str]:
    """How the program is told to run; what is its habit in one release must be asked for in
    another.

    Raises:
        ValueError: a flag that this release does not have.
    """
    flags = _dla_flags(options)
    for wanted, name in ((options["spin"], "SpinWait"), (options["cuda_graph"], "CudaGraph")):
        if not program.has(f"--no{name}"):
            flags += [program.need(f"--use{name}", f"this option ({name})")] if wanted else []
        elif not wanted:
            flags.append(f"--no{name}")
    if program.has("--includeDataTransfers"):
        flags += ["--includeDataTransfers"] if transfers else []
    elif not transfers:
        flags.append("--noDataTransfers")
    return flags


class TrtexecNetwork:
    """Runs an engine; a run is one process, and many inferences of which the median counts."""

    memory: Memory
    doubts: tuple[str, ...] = ()
    facts: Mapping[str, Any]

    def __init__(self, program: Trtexec, engine: Engine, options: Mapping[str, Any]) -> None:
        self._program, self._engine, self._options = program, engine, options
        self._scratch = scratch(len(engine.plan))
        self._folder = Path(self._scratch.name)
        self._plan = self._folder / "plan"
        self._plan.write_bytes(engine.plan)
        self._times_ms: list[float] = []

    def weigh(self) -> None:
        """A first run; of memory the program tells nothing but by its engine's size."""
        self.run()
        self.memory = Memory(weights_mb=len(self._engine.plan) / 1e6, activations_mb=None)
        times = self._times_ms
        cuts = quantiles(times, n=100) if len(times) > 1 else times * 99
        self.facts = {
            "engine": hashlib.sha256(self._engine.plan).hexdigest()[:16],
            "build": {"seconds": self._engine.seconds, "cached": self._engine.cached},
            "inferences_ms": {
                "count": len(times),
                "median": median(times),
                "p90": cuts[89],
                "p99": cuts[98],
                "variation_pct": 100 * pstdev(times) / fmean(times) if fmean(times) else None,
            },
        }

    def run(self) -> None:
        """One process of the program."""
        file = self._folder / "times.json"
        file.unlink(missing_ok=True)
        latency, warmup_ms = self._options["latency"], self._options["warmup_ms"]
        self._start(
            f"--exportTimes={file}",
            f"--iterations={self._options['iterations']}",
            f"--warmUp={warmup_ms}",
            transfers=latency == "transfers",
        )
        self._times_ms = times_ms(file, latency=latency, warmup_ms=warmup_ms)

    def device_ms(self) -> float | None:
        """Median time of an inference of the last run."""
        return median(self._times_ms) if self._times_ms else None

    def infer(
        self, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.dtype]
    ) -> list[np.ndarray]:
        """The outputs, whose names and types are given, for inputs of the engine's batch."""
        made, given = self._folder / "outputs.json", []
        for number, (name, values) in enumerate(inputs.items()):
            file = self._folder / f"input-{number}"
            file.write_bytes(values.tobytes())
            # A colon parts the name from the file, and a comma one input from the next.
            given.append(f"'{name}':{file}" if {":", ","} & set(name) else f"{name}:{file}")
        self._start(
            f"--loadInputs={','.join(given)}",
            f"--exportOutput={made}",
            "--iterations=1",
            "--warmUp=0",
            transfers=True,
        )
        found = outputs_of(made)
        if missing := [name for name in outputs if name not in found]:
            raise TrtexecError(
                f"trtexec wrote no output '{missing[0]}'; it wrote: {', '.join(found)}"
            )
        return [found[name].astype(kind) for name, kind in outputs.items()]

    def close(self) -> None:
        """Delete the engine's file."""
        self._scratch.cleanup()

    def _start(self, *flags: str, transfers: bool) -> None:
        own = run_flags(self._program, self._options, transfers=transfers)
        self._program.run(
            [f"--loadEngine={self._plan}", "--duration=0", *flags, *own], self._folder / "log"
        )


def _dla_flags(options: Mapping[str, Any]) -> list[str]:
    return [] if options["dla"] is None else [f"--useDLACore={options['dla']}"]
