"""Runtime "trtexec": TensorRT by its program, for boards without its Python API.

A process a look, which is slow: a visit of a network takes seconds instead of milliseconds. What
is read are the times of its inferences on the GPU's own clock, as the program writes them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx.helper import tensor_dtype_to_np_dtype

from hwprune_device.bounded_folder import BoundedFolder
from hwprune_device.conditions.sysfs import UNAVAILABLE
from hwprune_device.estimate import Clock
from hwprune_device.job import Target
from hwprune_device.owner import cache_folder
from hwprune_device.precision.tensors import element_types
from hwprune_device.runtimes import unheard
from hwprune_device.runtimes.inputs import in_batches, item_count
from hwprune_device.runtimes.interface import interface_of
from hwprune_device.runtimes.patience import patience_s
from hwprune_device.runtimes.trt.graph import graph_for, symbols
from hwprune_device.runtimes.trtexec.network import Engine, TrtexecNetwork, build, build_flags
from hwprune_device.runtimes.trtexec.options import TRTEXEC
from hwprune_device.runtimes.trtexec.program import Trtexec, TrtexecError

CACHE_MB = 2000.0
_LARGEST_BATCH = 64


class TrtexecRuntime:
    """Builds engines with the program and runs them with it.

    Raises:
        ImportError: the board has no trtexec.
    """

    def __init__(self) -> None:
        self._program = Trtexec()
        folder = cache_folder(os.environ.get("HWPRUNE_CACHE", "")) / "trtexec"
        self._kept = BoundedFolder(folder, CACHE_MB)

    def describe(self) -> Mapping[str, Any]:
        """Version of TensorRT; the GPU is part of the board."""
        return {"name": "trtexec", "version": self._program.version or UNAVAILABLE}

    def workers(self, target: Target) -> int:
        """The program and the GPU."""
        return 2

    def clock(self, target: Target) -> Clock | None:
        """The GPU's: what this process waits for is the start of another."""
        return "device"

    def limits_address_space(self, target: Target) -> bool:
        """No: CUDA reserves far more addresses than it uses."""
        return False

    def patience_s(self, target: Target) -> float:
        """How long a build may take beyond what a child is given for a step."""
        return patience_s(target)

    def warm(self) -> None:
        """Ask the program what it can, once for all children."""
        self._program.has("--onnx")

    def load(
        self,
        model: bytes,
        target: Target,
        free: Mapping[str, int],
        alive: Callable[[], None] = unheard,
    ) -> TrtexecNetwork:
        """Build an engine, or take the one that was kept.

        Raises:
            MemoryError: it cannot be built with the memory there is.
            TimeoutError: it was not built in time.
            TrtexecError: TensorRT refused it.
            ValueError: the target asks for what this release cannot do.
        """
        options = TRTEXEC.of(target)
        graph = self._graph(model, target, free)
        return self._ready(graph, target, options, alive)

    def run_network(
        self, model: bytes, inputs: Sequence[np.ndarray], target: Target | None = None
    ) -> list[np.ndarray]:
        """Every output of the network; with int8 ranges are taken from `inputs`."""
        proto = onnx.load_model_from_string(model)
        interface, types = interface_of(proto), element_types(proto.graph)
        count = item_count(inputs, interface)
        size = interface.fixed_batch or min(_LARGEST_BATCH, count)
        wanted = replace(target or Target(runtime="trtexec"), batch=size)
        free = dict.fromkeys(symbols(model), size)
        graph = self._graph(model, wanted, free, inputs)
        network = self._ready(graph, wanted, TRTEXEC.of(wanted), unheard)
        names = [entry.name for entry in interface.inputs]
        outputs = {n: tensor_dtype_to_np_dtype(types[n]) for n in interface.outputs}

        def infer(part: list[np.ndarray]) -> list[np.ndarray]:
            return network.infer(dict(zip(names, part, strict=True)), outputs)

        try:
            return in_batches(infer, inputs, interface, size)
        finally:
            network.close()

    def _graph(
        self,
        model: bytes,
        target: Target,
        free: Mapping[str, int],
        inputs: Sequence[np.ndarray] | None = None,
    ) -> bytes:
        return graph_for(
            model,
            free,
            precision=target.precision,
            calibration="qdq",
            strongly_typed=self._program.strongly_typed,
            inputs=inputs,
        )

    def _ready(
        self,
        graph: bytes,
        target: Target,
        options: Mapping[str, Any],
        alive: Callable[[], None],
    ) -> TrtexecNetwork:
        """A network that has run once, from a kept engine where there is one that still loads."""
        how = (self._program.version, build_flags(self._program, target.precision, options))
        name = "engine-" + hashlib.sha256(graph + repr(how).encode()).hexdigest()[:32]
        kept = Engine.unpack(self._kept.get(name))
        if kept is not None:
            network = TrtexecNetwork(self._program, kept, options)
            try:
                network.run()
                return network
            except Exception as error:
                network.close()
                # What it was built on may be another board or driver now.
                if not isinstance(error, TrtexecError):
                    raise
        timings = "timings-" + self._program.version
        engine, learnt = build(
            self._program,
            graph,
            target.precision,
            options,
            alive,
            self._kept.get(timings) or b"",
        )
        self._kept.put(name, engine.pack())
        self._kept.put(timings, learnt)
        return TrtexecNetwork(self._program, engine, options)
