"""A TensorRT engine with its inputs in place, timed on two clocks."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from statistics import median
from typing import Any

import numpy as np

from hwprune_device.job import Target
from hwprune_device.reading import Memory
from hwprune_device.runtimes.cuda import Cuda
from hwprune_device.runtimes.inputs import input_values
from hwprune_device.runtimes.trt.builder import Build
from hwprune_device.runtimes.trt.engine import Engine, IOTensor

_SIDE_RUNS = 20
"""Runs on the clocks that the latency is not read from; for the record alone."""


class TrtNetwork:
    """Runs an engine; `close` gives everything back that it took on the device.

    A run is one inference from the call until its result is there. With `latency = "transfers"`
    inputs come from the host's memory and outputs go there, else they stay on the device.

    Raises:
        MemoryError: it does not fit.
        TrtError, CudaError: it cannot be made ready.
    """

    memory: Memory
    doubts: tuple[str, ...] = ()
    facts: Mapping[str, Any]
    builds: Mapping[str, Any] | None = None
    """What several builds of this network differed by, where there were several."""

    def __init__(
        self, engine: Engine, build: Build, cuda: Cuda, target: Target, options: Mapping[str, Any]
    ) -> None:
        self._cuda, self._build = cuda, build
        self._transfers = options["latency"] == "transfers"
        self._engine = engine
        with ExitStack() as made:
            # Registered first, so called last: after the buffers that the context is bound to.
            made.callback(self._forget)
            # Free memory before and after is all that shows what a context takes.
            free = cuda.free_mb
            self._context = engine.context()
            self._context_mb = max(0.0, free - cuda.free_mb)
            self._stream = cuda.stream()
            self._before, self._after = cuda.event(), cuda.event()
            self._host: dict[str, np.ndarray] = {}
            self._device: dict[str, Any] = {}
            for tensor in engine.tensors:
                self._make(tensor, made)
            # In any case: a run without transfers reads what lies on the device already.
            self._fill(target)
            self._start: Callable[[], None] = self._enqueue
            if options["cuda_graph"]:
                self._start = self._captured(made)
            # From here on `close` frees; what failed above was freed by the block.
            self._made = made.pop_all()

    def weigh(self) -> None:
        """The first runs, and what the other clocks say."""
        # The first runs load kernels, and those of TensorRT for RTX choose them.
        for _ in range(3):
            self.run()
        values_mb = sum(values.nbytes for values in self._host.values()) / 1e6
        self.memory = Memory(
            weights_mb=len(self._build.engine) / 1e6,
            # TensorRT does not count inputs and outputs, which the caller allocates.
            activations_mb=self._engine.activations_mb + values_mb,
            arena_mb=self._context_mb,
            creation_peak_mb=self._build.gpu_peak_mb or self._build.host_peak_mb,
        )
        self.facts = {
            # Two builds of one network differ: which engine it was belongs to the reading.
            "engine": hashlib.sha256(self._build.engine).hexdigest()[:16],
            "build": self._build.story(),
            "times_ms": self._side_times(),
            "gpu_memory_mb": {
                "engine": self.memory.weights_mb,
                "activations": self._engine.activations_mb,
                "inputs_and_outputs": values_mb,
                "context": self._context_mb,
            },
            **({"builds": self.builds} if self.builds is not None else {}),
        }

    def run(self) -> None:
        """One inference.

        Raises:
            BrokenProcessError: the network broke this process's use of the GPU.
        """
        self._run(self._transfers)

    def device_ms(self) -> float:
        """What the last run took on the device, without transfers, by its own clock."""
        return float(self._before.time_till(self._after))

    def typical_ms(self) -> float:
        """Median time of some runs on the device's clock, after a warm-up."""
        times = []
        for _ in range(3 + _SIDE_RUNS):
            self.run()
            times.append(self.device_ms())
        return median(times[3:])

    def layer_ms(self, runs: int) -> list[dict[str, float]]:
        """By run what each layer of the engine took; good for nothing else after this."""
        found: list[dict[str, float]] = []

        def told(name: str, ms: float) -> None:
            found[-1][name] = found[-1].get(name, 0.0) + ms

        self._context.tell(told)
        for _ in range(runs):
            found.append({})
            with self._cuda.sound():
                # Not as a CUDA graph, which has no layers.
                self._enqueue()
                self._stream.synchronize()
        return found

    @property
    def build(self) -> Build:
        """The engine that it runs, and what that took."""
        return self._build

    @property
    def tensors(self) -> tuple[IOTensor, ...]:
        """Inputs and outputs."""
        return tuple(self._engine.tensors)

    @property
    def batch(self) -> int:
        """Inferences in a run."""
        return int(self._engine.tensors_in[0].shape[0])

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name, for inputs by name of the engine's batch."""
        for tensor in self._engine.tensors_in:
            self._host[tensor.name][...] = inputs[tensor.name]
        self._run(transfers=True)
        # The pinned buffers are written again by the next run.
        return {t.name: self._host[t.name].copy() for t in self._engine.tensors_out}

    def close(self) -> None:
        """Give everything back."""
        self._made.close()

    def _make(self, tensor: IOTensor, made: ExitStack) -> None:
        """Memory for a tensor, on both sides."""
        host = self._cuda.pinned(tensor.shape, tensor.dtype)
        device = self._cuda.buffer(host.nbytes)
        made.callback(device.free)
        self._host[tensor.name], self._device[tensor.name] = host, device
        self._context.bind(tensor, int(device))

    def _fill(self, target: Target) -> None:
        random = np.random.default_rng(0)
        for tensor in self._engine.tensors_in:
            values = input_values(tensor.name, tensor.shape, tensor.dtype, target, random)
            self._host[tensor.name][...] = values
        self._copy_in()
        self._stream.synchronize()

    def _captured(self, made: ExitStack) -> Callable[[], None]:
        """What starts the network as a CUDA graph."""
        # The first run may load kernels, which no capture allows.
        self._enqueue()
        self._stream.synchronize()
        graph = self._cuda.capture(self._stream, self._enqueue)
        made.callback(graph.close)
        return graph.launch

    def _run(self, transfers: bool) -> None:
        with self._cuda.sound():
            if transfers:
                self._copy_in()
            # Around the network alone, also where transfers belong to the run.
            self._before.record(self._stream)
            self._start()
            self._after.record(self._stream)
            if transfers:
                self._copy_out()
            self._stream.synchronize()

    def _enqueue(self) -> None:
        self._context.enqueue(self._stream.handle)

    def _copy_in(self) -> None:
        for tensor in self._engine.tensors_in:
            self._cuda.to_device(self._device[tensor.name], self._host[tensor.name], self._stream)

    def _copy_out(self) -> None:
        for tensor in self._engine.tensors_out:
            self._cuda.to_host(self._host[tensor.name], self._device[tensor.name], self._stream)

    def _side_times(self) -> dict[str, float]:
        """Median milliseconds of a run without and with transfers, and on the device's clock."""
        found: dict[str, list[float]] = {"host": [], "transfers": [], "device": []}
        for _ in range(_SIDE_RUNS):
            for name in ("host", "transfers"):
                start = time.perf_counter()
                self._run(transfers=name == "transfers")
                found[name].append((time.perf_counter() - start) * 1e3)
            found["device"].append(self.device_ms())
        return {name: median(times) for name, times in found.items()}

    def _forget(self) -> None:
        """Let go of what is freed once nobody holds it: the context before its engine."""
        self._start = self._enqueue
        self._host, self._device = {}, {}
        for name in ("_context", "_before", "_after", "_stream", "_engine"):
            # A network that could not be made ready has not all of them.
            vars(self).pop(name, None)
