"""ONNX Runtime: sessions on the CPU or on another of its execution providers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hwprune_device.estimate import Clock
from hwprune_device.job import Target
from hwprune_device.memory import weight_bytes
from hwprune_device.reading import Memory
from hwprune_device.resident import PeakWatch
from hwprune_device.runtimes import NoProfileError, Part, ignore_progress
from hwprune_device.runtimes.inputs import in_batches
from hwprune_device.runtimes.one_node import one_node
from hwprune_device.runtimes.onnxrt import profile
from hwprune_device.runtimes.onnxrt import session as library
from hwprune_device.runtimes.onnxrt.options import DENORMALS, GPU_PROVIDERS, ONNXRT, provider_key
from hwprune_device.runtimes.onnxrt.parts import parts_of
from hwprune_device.runtimes.onnxrt.profile import CPU
from hwprune_device.runtimes.runtime import PROFILED, WARMING
from hwprune_device.runtimes.scratch import scratch


class OnnxRuntime:
    """Builds ONNX Runtime sessions.

    Args:
        denormals: "zero" flushes them to zero, "keep" does not; empty: as the environment says,
            which says "zero" if nothing. The first session of a process decides it for all later
            ones and for the children it forks.

    Raises:
        ValueError: neither "zero" nor "keep".
    """

    def __init__(self, denormals: str = "") -> None:
        denormals = denormals or os.environ.get(DENORMALS, "zero")
        choices = ONNXRT.choices["denormals"]
        if denormals not in choices:
            possible = ", ".join(choices)
            raise ValueError(f"denormals cannot be '{denormals}'; possible: {possible}")
        self._denormals = denormals

    def describe(self) -> Mapping[str, Any]:
        """Version and build; denormals are part of it because a process decides them only once."""
        zero = self._denormals == "zero"
        return {"name": "onnxrt", **library.about(), "denormal_as_zero": zero}

    def workers(self, target: Target) -> int:
        """The session's threads, and one more where another provider works beside them."""
        options = ONNXRT.of(target)
        # Any number above 1 says that the CPU time of the caller is not the latency.
        return target.threads + (options["provider"] != "cpu")

    def limits_address_space(self, target: Target) -> bool:
        """Not beside CUDA, which reserves far more addresses than it fills."""
        return provider_key(str(target.options.get("provider", ""))) not in GPU_PROVIDERS

    def clock(self, target: Target) -> Clock | None:
        """None: the caller's clocks are the only ones, also beside other providers."""
        return None

    def warm(self) -> None:
        """Build and run a network of one node: allocators, CPU detection, denormal mode.

        On the CPU whatever the targets will ask for: CUDA does not survive a fork, so it must not
        be touched before a child does.
        """
        self.run_network(one_node(), [np.ones(1, np.float32)])

    def load(
        self,
        model: bytes,
        target: Target,
        free: Mapping[str, int],
        alive: Callable[[], None] = ignore_progress,
    ) -> OnnxNetwork:
        """Build a session; ONNX Runtime says nothing meanwhile, so `alive` is not called.

        Raises:
            MemoryError: it does not fit.
            ValueError: the target asks for what this runtime, or this process, cannot do.
        """
        with library.memory_errors():
            return OnnxNetwork(model, target, free, denormals=self._denormals)

    def run_network(
        self, model: bytes, inputs: Sequence[np.ndarray], target: Target | None = None
    ) -> list[np.ndarray]:
        """Every output of the network; one of fixed batch runs as often as needed."""
        wanted = target or Target(options={"denormals": self._denormals})
        with library.memory_errors():
            ready = library.prepared(model, wanted, self._denormals)
            session = library.open_session(ready, *library.settings(wanted, self._denormals))
            infer = partial(library.infer, session)
            return in_batches(infer, inputs, library.interface_of(session))

    def profile(self, model: bytes, target: Target, free: Mapping[str, int]) -> list[Part]:
        """Kernels by ONNX Runtime's own trace, which knows of a GPU's only the launch."""
        provider = ONNXRT.of(target)["provider"]
        if provider != "cpu":
            raise NoProfileError(
                f"ONNX Runtime times kernels on the CPU alone, and the target asks for {provider}"
            )
        network = self.load(model, target, free)
        with library.memory_errors():
            return network.parts(model)


class OnnxNetwork:
    """A session with its inputs bound, and the memory it was seen to need."""

    memory: Memory
    doubts: tuple[str, ...]
    facts: Mapping[str, Any]

    def __init__(
        self, model: bytes, target: Target, free: Mapping[str, int], *, denormals: str
    ) -> None:
        options, providers = library.settings(target, denormals)
        model = library.prepared(model, target, denormals)
        for name, size in free.items():
            # With sizes in place of names ONNX Runtime folds shapes while it builds.
            options.add_free_dimension_override_by_name(name, size)
        self._provider = providers[0][0]
        # Lives until `weigh` has read what the session wrote into it.
        self._scratch = scratch(len(model))
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._scratch.name) / "profile")
        self._weights_bytes = 0
        if self._provider == CPU:
            library.keep_optimised(options, Path(self._scratch.name))
        else:
            # Providers that compile cannot write an optimised graph: weights as they were given.
            self._weights_bytes = weight_bytes(onnx.load_model_from_string(model).graph)
        with PeakWatch() as peak:
            self._session = library.open_session(model, options, providers)
            self._creation_peak_mb = peak.grown_mb()
        self._binding = library.bound(self._session, target)

    def weigh(self) -> None:
        """Two profiled runs; profiling is over when this returns.

        Raises:
            ValueError: the provider that was asked for ran nothing.
        """
        with self._scratch as folder, library.memory_errors():
            for _ in range(profile.PROFILED_RUNS):
                self.run()
            events = profile.kernel_events(Path(self._session.end_profiling()))
            profile.check_in_use(self._provider, events)
            self.facts = {"kernels_on": profile.kernels_on(events)}
            if self._provider == CPU:
                # Names and shapes only: the weights lie beside it, and can be large.
                graph = onnx.load(Path(folder) / "optimised.onnx", load_external_data=False).graph
                found = profile.weigh(graph, events, self._creation_peak_mb)
                self.memory, self.doubts = found
            else:
                self.memory, self.doubts = self._weights_alone(), ()

    def parts(self, model: bytes) -> list[Part]:
        """What its kernels take; called once, in place of `weigh`. `model`: as it was given."""
        with self._scratch as folder:
            for _ in range(WARMING + PROFILED):
                self.run()
            trace = json.loads(Path(self._session.end_profiling()).read_text())
            optimised = onnx.load(Path(folder) / "optimised.onnx", load_external_data=False)
        return parts_of(onnx.load_model_from_string(model).graph, optimised.graph, trace)

    def _weights_alone(self) -> Memory:
        """Return the weights: no provider but the CPU reports what activations take."""
        return Memory(
            weights_mb=self._weights_bytes / 1e6,
            activations_mb=None,
            creation_peak_mb=self._creation_peak_mb,
        )

    def run(self) -> None:
        """One inference."""
        self._session.run_with_iobinding(self._binding)

    def close(self) -> None:
        """Let the session go."""
        del self._binding, self._session
