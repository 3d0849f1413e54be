"""ONNX Runtime: sessions on the CPU or on another of its execution providers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from hwprune_device.estimate import Clock
from hwprune_device.job import Target
from hwprune_device.memory import weight_bytes
from hwprune_device.reading import Memory
from hwprune_device.resident import PeakWatch
from hwprune_device.runtimes import onnxrt_precision, unheard
from hwprune_device.runtimes import onnxrt_profile as profile
from hwprune_device.runtimes.inputs import input_values
from hwprune_device.runtimes.onnxrt_options import GPU_PROVIDERS, ONNXRT, provider_key
from hwprune_device.runtimes.onnxrt_profile import CPU
from hwprune_device.runtimes.patience import patience_s

_LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "BFCArena", "Cannot allocate memory")
_NUMPY = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
}
Provider = tuple[str, Mapping[str, str]]
_THREADS_OPTION = {"openvino": "num_of_threads", "xnnpack": "intra_op_num_threads"}
"""What providers with threads of their own call them; they do not see the session's number."""


class OnnxRuntime:
    """Builds ONNX Runtime sessions.

    Args:
        denormals: "zero" flushes them to zero, "keep" does not. The first session of a process
            decides it for all later ones and for the children it forks.

    Raises:
        ValueError: neither "zero" nor "keep".
    """

    def __init__(self, denormals: str = "zero") -> None:
        choices = ONNXRT.choices["denormals"]
        if denormals not in choices:
            possible = ", ".join(choices)
            raise ValueError(f"denormals cannot be '{denormals}'; possible: {possible}")
        self._denormals = denormals

    def describe(self) -> Mapping[str, Any]:
        """Version and build; denormals are part of it because a process decides them only once."""
        return {
            "name": "onnxrt",
            "version": ort.__version__,
            "build": ort.get_build_info(),
            "denormal_as_zero": self._denormals == "zero",
            "providers": ort.get_available_providers(),
        }

    def workers(self, target: Target) -> int:
        """The session's threads, and one more where another provider works beside them."""
        options = ONNXRT.of(target)
        return target.threads + (options["provider"] != "cpu")

    def patience_s(self, target: Target) -> float:
        """Time for TensorRT's engines; other providers build at once."""
        return patience_s(target)

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
        value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
        node = onnx.helper.make_node("Relu", ["x"], ["y"])
        result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
        graph = onnx.helper.make_graph([node], "warm", [value], [result])
        opset = [onnx.helper.make_opsetid("", 17)]
        model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
        self.execute(model.SerializeToString(), np.ones(1, np.float32))

    def load(
        self,
        model: bytes,
        target: Target,
        free: Mapping[str, int],
        alive: Callable[[], None] = unheard,
    ) -> OnnxNetwork:
        """Build a session; ONNX Runtime says nothing meanwhile, so `alive` is not called.

        Raises:
            MemoryError: it does not fit.
            ValueError: the target asks for what this runtime, or this process, cannot do.
        """
        with _memory_errors():
            return OnnxNetwork(model, target, free, denormals=self._denormals)

    def execute(
        self, model: bytes, inputs: np.ndarray, target: Target | None = None
    ) -> np.ndarray:
        """First output of the network; a network of fixed batch runs as often as needed."""
        wanted = target or Target(options={"denormals": self._denormals})
        with _memory_errors():
            session = _session(_prepared(model, wanted), *_settings(wanted, self._denormals))
            entry = session.get_inputs()[0]
            fixed = (
                entry.shape[0] if entry.shape and isinstance(entry.shape[0], int) else len(inputs)
            )
            parts = [
                session.run(None, {entry.name: inputs[at : at + fixed]})[0]
                for at in range(0, len(inputs), max(1, fixed))
            ]
        return np.concatenate(parts)


class OnnxNetwork:
    """A session with its inputs bound, and the memory it was seen to need."""

    memory: Memory
    doubts: tuple[str, ...]
    facts: Mapping[str, Any]

    def __init__(
        self, model: bytes, target: Target, free: Mapping[str, int], *, denormals: str
    ) -> None:
        options, providers = _settings(target, denormals)
        model = _prepared(model, target)
        for name, size in free.items():
            options.add_free_dimension_override_by_name(name, size)
        self._provider = providers[0][0]
        self._scratch = profile.scratch(len(model))
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._scratch.name) / "profile")
        self._weights_bytes = 0
        if self._provider == CPU:
            _keep_optimised(options, Path(self._scratch.name))
        else:
            # Providers that compile cannot write an optimised graph: weights as they were given.
            self._weights_bytes = weight_bytes(onnx.load_model_from_string(model).graph)
        with PeakWatch() as peak:
            self._session = _session(model, options, providers)
            self._creation_peak_mb = peak.grown_mb()
        self._binding = self._bind(target)

    def weigh(self) -> None:
        """Two profiled runs; profiling is over when this returns.

        Raises:
            ValueError: the provider that was asked for ran nothing.
        """
        with self._scratch as folder, _memory_errors():
            for _ in range(profile.PROFILED_RUNS):
                self.run()
            events = profile.kernel_events(Path(self._session.end_profiling()))
            profile.check_in_use(self._provider, events)
            self.facts = {"kernels_on": profile.kernels_on(events)}
            if self._provider == CPU:
                graph = onnx.load(Path(folder) / "optimised.onnx", load_external_data=False).graph
                found = profile.weigh(graph, events, self._creation_peak_mb)
                self.memory, self.doubts = found
            else:
                self.memory, self.doubts = self._weights_alone(), ()

    def _weights_alone(self) -> Memory:
        """No provider but the CPU tells what it allocates for activations."""
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

    def _bind(self, target: Target) -> Any:
        binding = self._session.io_binding()
        random = np.random.default_rng(0)
        for entry in self._session.get_inputs():
            kind = _NUMPY.get(entry.type, entry.type)
            values = input_values(entry.name, entry.shape, kind, target, random)
            binding.bind_ortvalue_input(entry.name, ort.OrtValue.ortvalue_from_numpy(values))
        for entry in self._session.get_outputs():
            binding.bind_output(entry.name, "cpu")
        return binding


def _settings(target: Target, denormals: str) -> tuple[ort.SessionOptions, list[Provider]]:
    """Session options and providers of a target."""
    wanted = ONNXRT.of(target)
    if wanted["denormals"] != denormals:
        raise ValueError(
            f"the target asks for denormals = {wanted['denormals']}, and this process was started "
            f"with denormals = {denormals}, which its first session decided for good"
        )
    options = ort.SessionOptions()
    options.graph_optimization_level = _LEVELS[wanted["optimization"]]
    options.enable_cpu_mem_arena = wanted["arena"]
    options.enable_mem_pattern = wanted["memory_pattern"]
    parallel = wanted["execution"] == "parallel"
    if parallel:
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.intra_op_num_threads = target.threads
    options.inter_op_num_threads = target.threads if parallel else 1
    options.log_severity_level = 4
    entries = {"session.set_denormal_as_zero": denormals == "zero"}
    for pool in ("intra_op", "inter_op"):
        entries[f"session.{pool}.allow_spinning"] = wanted["spinning"]
    entries["session.disable_cpu_ep_fallback"] = wanted["fallback"] == "refuse"
    for name, value in entries.items():
        options.add_session_config_entry(name, str(int(value)))
    return options, _providers(wanted, target)


def _prepared(model: bytes, target: Target) -> bytes:
    """The network in the target's precision."""
    wanted = ONNXRT.of(target)
    onnxrt_precision.settle_tf32(wanted["provider"], target.precision)
    return onnxrt_precision.graph_in(model, wanted["provider"], target.precision)


def _providers(wanted: Mapping[str, Any], target: Target) -> list[Provider]:
    """The wanted provider, and behind it the CPU for what it cannot run."""
    key, available = wanted["provider"], ort.get_available_providers()
    names = {provider_key(name): name for name in available}
    if key not in names:
        has = ", ".join(names.values())
        raise ValueError(f"the target asks for provider {key}; this ONNX Runtime has: {has}")
    own = onnxrt_precision.provider_options(key, target.precision)
    if key in _THREADS_OPTION:
        own[_THREADS_OPTION[key]] = str(target.threads)
    first: list[Provider] = [(names[key], {**own, **wanted["provider_options"]})]
    alone = key == "cpu" or wanted["fallback"] == "refuse"
    return first if alone else [*first, (CPU, {})]


def _session(
    model: bytes, options: ort.SessionOptions, providers: list[Provider]
) -> ort.InferenceSession:
    """A session that runs on the first of the providers.

    Raises:
        ValueError: ONNX Runtime left that provider out.
    """
    # Without this its Python side builds a CPU session when the wanted one fails.
    session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    wanted, used = providers[0][0], session.get_providers()
    if used[0] != wanted:
        raise ValueError(
            f"the target asks for {wanted}; ONNX Runtime could not start it here and took "
            f"{', '.join(used)}: its libraries or its device are missing"
        )
    return session


def _keep_optimised(options: ort.SessionOptions, folder: Path) -> None:
    """Have the session write its optimised graph; weights go to a separate file."""
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    entry = "session.optimized_model_external_initializers_"
    options.add_session_config_entry(entry + "file_name", "weights.bin")
    options.add_session_config_entry(entry + "min_size_in_bytes", "1024")


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn ONNX Runtime's ways of saying "no memory" into MemoryError."""
    try:
        yield
    except Exception as error:
        if any(text in str(error) for text in _OUT_OF_MEMORY):
            raise MemoryError(str(error)) from error
        raise
