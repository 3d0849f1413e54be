"""Building TensorRT engines: once for each network, within a time and with the memory there is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwprune_device.bounded_folder import BoundedFolder
from hwprune_device.resident import PeakWatch
from hwprune_device.runtimes.cuda import Cuda, CudaError
from hwprune_device.runtimes.trt.callbacks import Batches, CancelledError
from hwprune_device.runtimes.trt.tensorrt import BuildOptions, Plan, TensorRT

CACHE_MB = 2000.0
# Not tuned: a retry that still fails costs a whole build, so there is one, much smaller.
_SMALLER = 4
"""Each retry may use this much less scratch memory."""
_LEAST_WORKSPACE_MB = 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """An engine, and what it took to have it."""

    engine: bytes
    seconds: float
    """What the build took when it was made."""
    cached: bool
    """Whether that was at another time."""
    gpu_peak_mb: float
    """How far free memory of the GPU went down at most."""
    host_peak_mb: float | None
    workspace_mb: float | None
    """The limit it was built with; None for none."""
    fell_back: tuple[str, ...]
    """Layers that run on the GPU because the DLA cannot."""

    def story(self) -> dict[str, object]:
        """All but the engine, as plain data."""
        return {name: value for name, value in asdict(self).items() if name != "engine"}


def build_options_for(
    precision: str, options: Mapping[str, Any], inputs: Sequence[np.ndarray] | None = None
) -> BuildOptions:
    """How a target's engines are built; `inputs` are those that ranges of int8 are found on."""
    ranges_from = ""
    if options["calibration"] != "qdq" and inputs is not None:
        # Else an engine with made-up ranges, good for times alone, would be taken for this one.
        ranges_from = hashlib.sha256(b"".join(v.tobytes() for v in inputs)).hexdigest()[:16]
    return BuildOptions(
        precision=precision,
        level=options["builder_level"],
        workspace_mb=options["workspace_mb"],
        dla=options["dla"],
        gpu_fallback=options["fallback"] == "allow",
        calibration=options["calibration"],
        ranges_from=ranges_from,
    )


class EngineBuilder:
    """Builds on one device with one version of TensorRT; what it learns stays on the board.

    Engines and measured times of kernels are good for exactly the device, driver and version they
    were made with: no compatibility of hardware is assumed.
    """

    def __init__(self, library: TensorRT, cuda: Cuda, folder: Path) -> None:
        """`folder`: where engines and timing caches are kept, at most 2 GB of them."""
        self._library, self._cuda = library, cuda
        self._kept = BoundedFolder(folder, CACHE_MB)
        where = (cuda.name, cuda.capability, cuda.driver_version, library.version)
        # In file names, which take no blanks or slashes of a GPU's name.
        self._device = hashlib.sha256(repr(where).encode()).hexdigest()[:16]

    def build(
        self,
        model: bytes,
        wanted: BuildOptions,
        *,
        timeout_s: float,
        alive: Callable[[], None],
        batches: Batches | None = None,
        fresh: bool = False,
    ) -> Build:
        """The engine of a network, from the folder where it was built before.

        `alive` is called while the builder makes progress. With `fresh` nothing is taken from the
        folder, measured times of kernels included, so that every build chooses anew.

        Raises:
            MemoryError: too little memory, also with less scratch memory.
            TimeoutError: it was not built in time.
            TrtError: the network cannot be read or built.
        """
        name = f"engine-{self._device}-{_name(model, wanted)}"
        kept = None if fresh else _unpack(self._kept.get(name))
        if kept is not None:
            return kept
        cache = "timing-" + self._device
        if not fresh:
            wanted = replace(wanted, timing_cache=self._kept.get(cache) or b"")
        attempt = _Attempt(self._cuda, timeout_s, alive)
        try:
            plan, workspace_mb = self._with_less(model, wanted, attempt, batches)
        except CancelledError as error:
            raise TimeoutError(f"no engine after {timeout_s:g} s: {error}") from error
        build = attempt.done(plan, workspace_mb)
        if not fresh:
            self._kept.put(name, _pack(build))
            # Unchanged, it is not worth a write and an fsync on a board's card.
            if plan.timing_cache != wanted.timing_cache:
                self._kept.put(cache, plan.timing_cache)
        return build

    def _with_less(
        self, model: bytes, wanted: BuildOptions, attempt: _Attempt, batches: Batches | None
    ) -> tuple[Plan, float | None]:
        """Build; when memory runs out, once more with a fraction of the scratch memory."""
        try:
            plan = self._library.build(model, wanted, attempt.proceed, batches)
            return plan, wanted.workspace_mb
        except MemoryError as first:
            # Without a limit TensorRT may use all that was free when the build began.
            most = wanted.workspace_mb or attempt.free_mb
            less = max(_LEAST_WORKSPACE_MB, most / _SMALLER)
            try:
                leaner = replace(wanted, workspace_mb=less)
                return self._library.build(model, leaner, attempt.proceed, batches), less
            except MemoryError as second:
                raise MemoryError(
                    f"too little memory to build the engine, also with {less:.0f} MB of scratch "
                    f"memory; first: {first}; then: {second}"
                ) from second


class _Attempt:
    """One build under watch: its time, and the least memory that was left during it."""

    def __init__(self, cuda: Cuda, timeout_s: float, alive: Callable[[], None]) -> None:
        self._cuda, self._alive = cuda, alive
        self._watch = PeakWatch()
        self._watch.__enter__()
        self._start = time.monotonic()
        self._deadline = self._start + timeout_s
        self.free_mb = self._least_mb = cuda.free_mb

    def proceed(self, _phase: str) -> bool:
        """The builder made a step; whether it may make another."""
        self._alive()
        # The builder may call from a thread of its own, in which no context is current.
        with contextlib.suppress(CudaError):
            self._least_mb = min(self._least_mb, self._cuda.free_mb)
        return time.monotonic() < self._deadline

    def done(self, plan: Plan, workspace_mb: float | None) -> Build:
        """What came of it."""
        return Build(
            engine=plan.engine,
            seconds=time.monotonic() - self._start,
            cached=False,
            gpu_peak_mb=self.free_mb - self._least_mb,
            host_peak_mb=self._watch.grown_mb(),
            workspace_mb=workspace_mb,
            fell_back=plan.fell_back,
        )


def _name(model: bytes, wanted: BuildOptions) -> str:
    """One name for a network, weights included, and how it is built."""
    # Without the timing cache, which grows with each build and would give each a new name.
    how = json.dumps({**asdict(wanted), "timing_cache": ""}, sort_keys=True)
    return hashlib.sha256(model + how.encode()).hexdigest()[:32]


def _pack(build: Build) -> bytes:
    kept = {**build.story(), "sha256": hashlib.sha256(build.engine).hexdigest()}
    return json.dumps(kept).encode() + b"\n" + build.engine


def _unpack(data: bytes | None) -> Build | None:
    """A kept build; None where nothing whole was kept."""
    story, _, engine = (data or b"").partition(b"\n")
    try:
        fields = json.loads(story)
        # A power cut or a bad card may have damaged it.
        if fields.pop("sha256") != hashlib.sha256(engine).hexdigest():
            return None
        fields["fell_back"] = tuple(fields["fell_back"])
        return Build(**{**fields, "cached": True}, engine=engine)
    except (ValueError, TypeError, KeyError):
        return None
