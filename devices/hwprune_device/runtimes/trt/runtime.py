"""Runtime "trt": TensorRT through its Python API and pycuda."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import onnx

from hwprune_device.estimate import Clock
from hwprune_device.job import Target
from hwprune_device.owner import cache_folder
from hwprune_device.runtimes import EngineFile, Part, ignore_progress
from hwprune_device.runtimes.cuda import Cuda, driver_version, load_driver
from hwprune_device.runtimes.inputs import in_batches, item_count
from hwprune_device.runtimes.interface import Interface, batch_symbols, interface_of
from hwprune_device.runtimes.option_table import OptionTable
from hwprune_device.runtimes.runtime import PROFILED, WARMING
from hwprune_device.runtimes.trt.builder import Build, EngineBuilder, build_options_for
from hwprune_device.runtimes.trt.calibration import calibration_batches
from hwprune_device.runtimes.trt.callbacks import TrtError
from hwprune_device.runtimes.trt.engine_file import engine_file
from hwprune_device.runtimes.trt.graph import graph_for
from hwprune_device.runtimes.trt.network import TrtNetwork
from hwprune_device.runtimes.trt.options import TRT
from hwprune_device.runtimes.trt.parts import parts_of
from hwprune_device.runtimes.trt.tensorrt import TensorRT

_MOST_AT_ONCE = 64
"""Items in a run where no target says how many."""


class TrtRuntime:
    """Builds TensorRT engines and runs them on the first GPU.

    Args:
        tensorrt, driver, library: stand in for the modules `tensorrt` and `pycuda.driver` and for
            CUDA's driver library.
        folder: where engines are kept; in the board's cache folder when none is given.

    Raises:
        ImportError: TensorRT or pycuda is not installed, or too old.
    """

    table: OptionTable = TRT
    rtx = False
    """Whether its library is TensorRT for RTX."""

    def __init__(
        self,
        *,
        tensorrt: Any = None,
        driver: Any = None,
        library: Any = None,
        folder: Path | None = None,
    ) -> None:
        self._library = TensorRT(tensorrt, rtx=self.rtx)
        self._driver = driver or load_driver()
        self._driver_library = library
        self._folder = folder or cache_folder(os.environ.get("HWPRUNE_CACHE", "")) / "tensorrt"
        self._cuda: Cuda | None = None

    def describe(self) -> Mapping[str, Any]:
        """Version of TensorRT and of the driver's CUDA; the GPU is part of the board."""
        return {
            "name": self.table.runtime,
            "version": self._library.version,
            "cuda_driver": driver_version(self._driver),
        }

    def workers(self, target: Target) -> int:
        """The host thread and the GPU."""
        return 2

    def clock(self, target: Target) -> Clock | None:
        """The clock that the target's latency is read from."""
        options = self._options(target)
        return "device" if options["latency"] == "device" else "wall"

    def limits_address_space(self, target: Target) -> bool:
        """No: CUDA reserves far more addresses than it uses."""
        return False

    def warm(self) -> None:
        """Nothing: CUDA must not be touched before the fork, since it does not survive one."""

    def load(
        self,
        model: bytes,
        target: Target,
        free: Mapping[str, int],
        alive: Callable[[], None] = ignore_progress,
    ) -> TrtNetwork:
        """Build an engine and make it ready to run.

        Raises:
            MemoryError: it cannot be built, or does not fit.
            TimeoutError: it was not built in time.
            TrtError: TensorRT refused it.
            ValueError: the target asks for what this version cannot do.
        """
        options = self._options(target)
        graph = self._graph(model, target, free, options)
        with self._context(spin=options["spin"]).sound():
            if options["builds"] > 1:
                return self._typical(graph, target, options, alive)
            return self._ready(graph, target, options, alive)

    def run_network(
        self, model: bytes, inputs: Sequence[np.ndarray], target: Target | None = None
    ) -> list[np.ndarray]:
        """Every output of the network; the engine's batch is the target's, or the network's own.

        With int8 and no quantisation in the graph, ranges are taken from `inputs`.
        """
        interface = interface_of(onnx.load_model_from_string(model))
        count = item_count(inputs, interface)
        # An engine is of one batch: as many items at once as there are, up to a limit.
        wanted = target or Target(runtime=self.table.runtime, batch=min(_MOST_AT_ONCE, count))
        names = [entry.name for entry in interface.inputs]
        with self._executing(model, inputs, _of_batch(wanted, interface)) as network:

            def infer(part: list[np.ndarray]) -> list[np.ndarray]:
                found = network.infer(dict(zip(names, part, strict=True)))
                return [found[name] for name in interface.outputs]

            return in_batches(infer, inputs, interface, network.batch)

    def engine(self, model: bytes, inputs: Sequence[np.ndarray], target: Target) -> EngineFile:
        """The engine of `run_network`; from the folder of engines, where it was built before.

        Raises:
            MemoryError, TimeoutError, TrtError, ValueError: as `load`.
        """
        interface = interface_of(onnx.load_model_from_string(model))
        # For what it refuses, before a build that takes minutes.
        item_count(inputs, interface)
        wanted = _of_batch(target, interface)
        with self._executing(model, inputs, wanted) as network:
            return engine_file(
                network,
                self._context(spin=True),
                library=self._library,
                target=wanted,
            )

    @contextmanager
    def _executing(
        self, model: bytes, inputs: Sequence[np.ndarray], target: Target
    ) -> Iterator[TrtNetwork]:
        """A network with its own weights, ready to run."""
        options = self._options(target)
        free = dict.fromkeys(batch_symbols(model), target.batch)
        graph = self._graph(model, target, free, options, inputs)
        with self._context(spin=options["spin"]).sound():
            network = self._ready(graph, target, options, ignore_progress, inputs)
        try:
            yield network
        finally:
            network.close()

    def profile(self, model: bytes, target: Target, free: Mapping[str, int]) -> list[Part]:
        """Layers of the engine by TensorRT's own profiler, which is timed by the GPU's clock."""
        network = self.load(model, target, free)
        try:
            runs = network.layer_ms(WARMING + PROFILED)
        finally:
            network.close()
        return parts_of(model, runs[WARMING:])

    def close(self) -> None:
        """Give the context back, where there is one."""
        if self._cuda is not None:
            self._cuda.close()
            self._cuda = None

    def _options(self, target: Target) -> dict[str, Any]:
        """All of TensorRT's options, at their defaults where this library lacks them."""
        return {**TRT.defaults, **self.table.of(target)}

    def _graph(
        self,
        model: bytes,
        target: Target,
        free: Mapping[str, int],
        options: Mapping[str, Any],
        inputs: Sequence[np.ndarray] | None = None,
    ) -> bytes:
        return graph_for(
            model,
            free,
            precision=target.precision,
            calibration=options["calibration"],
            strongly_typed=self._library.strongly_typed,
            inputs=inputs,
        )

    def _ready(
        self,
        graph: bytes,
        target: Target,
        options: Mapping[str, Any],
        alive: Callable[[], None],
        inputs: Sequence[np.ndarray] | None = None,
    ) -> TrtNetwork:
        """A network that can run, from a kept engine where there is one that still loads."""
        build = self._build(graph, target, options, alive, inputs)
        try:
            return self._network(build, target, options)
        except TrtError:
            if not build.cached:
                raise
            # What it was built with is another now, in a way that no version tells.
            build = self._build(graph, target, options, alive, inputs, fresh=True)
            return self._network(build, target, options)

    def _build(
        self,
        graph: bytes,
        target: Target,
        options: Mapping[str, Any],
        alive: Callable[[], None],
        inputs: Sequence[np.ndarray] | None = None,
        *,
        fresh: bool = False,
    ) -> Build:
        cuda = self._context(spin=options["spin"])
        wanted = build_options_for(target.precision, options, inputs)
        with calibration_batches(cuda, graph, wanted, target.batch, inputs) as batches:
            return EngineBuilder(self._library, cuda, self._folder).build(
                graph,
                wanted,
                timeout_s=options["build_timeout_s"],
                alive=alive,
                batches=batches,
                fresh=fresh,
            )

    def _network(self, build: Build, target: Target, options: Mapping[str, Any]) -> TrtNetwork:
        cuda = self._context(spin=options["spin"])
        engine = self._library.load(build.engine, options["dla"])
        return TrtNetwork(engine, build, cuda, target, options)

    def _typical(
        self,
        graph: bytes,
        target: Target,
        options: Mapping[str, Any],
        alive: Callable[[], None],
    ) -> TrtNetwork:
        """Of several builds the one of median time; the builder's own spread goes on record.

        The builder chooses kernels by timing them, so two builds of one network differ
        (github.com/NVIDIA/TensorRT/issues/4730).
        """
        timed: list[tuple[float, Build]] = []
        for _ in range(options["builds"]):
            build = self._build(graph, target, options, alive, fresh=True)
            network = self._network(build, target, options)
            try:
                timed.append((network.typical_ms(), build))
            finally:
                network.close()
        times = [time_ms for time_ms, _ in timed]
        # The upper one of an even number: a real build, no mean of two.
        chosen = sorted(timed, key=lambda pair: pair[0])[len(timed) // 2][1]
        # Loaded anew: while they were timed one was freed before the next, to spare memory.
        network = self._network(chosen, target, options)
        network.builds = {
            "device_ms": times,
            "variation_pct": 100 * stdev(times) / mean(times),
        }
        return network

    def _context(self, *, spin: bool) -> Cuda:
        """This process's context; a fork made after it would break it, so none must be."""
        if self._cuda is None:
            self._cuda = Cuda(spin=spin, driver=self._driver, library=self._driver_library)
        return self._cuda


def _of_batch(target: Target, interface: Interface) -> Target:
    """The target with the network's own batch, where that is fixed."""
    return replace(target, batch=interface.fixed_batch or target.batch)
