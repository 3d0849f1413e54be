"""ONNX Runtime on the CPU: sessions, their profile, and the memory that follows from both."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from hwprune_device.job import Target
from hwprune_device.memory import BYTES, Liveness, Tensor, weight_bytes
from hwprune_device.reading import Memory
from hwprune_device.resident import PeakWatch

_PROVIDERS = ["CPUExecutionProvider"]
_LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "BFCArena", "Cannot allocate memory")
_IN_USE = "mem_bytes_requested_in_use"
"""What the allocator had given out after a kernel; in the profile from ONNX Runtime 1.31 on."""
_PROFILED_RUNS = 2
"""The first run plans memory; from the second on the arena holds what it will hold."""


class OnnxRuntime:
    """Builds ONNX Runtime sessions on the CPU."""

    def describe(self) -> Mapping[str, Any]:
        """Version and build; denormals are part of it because a process decides them only once."""
        return {
            "name": "onnxrt",
            "version": ort.__version__,
            "build": ort.get_build_info(),
            "provider": _PROVIDERS[0],
            "denormal_as_zero": True,
        }

    def warm(self) -> None:
        """Build and run a network of one node: allocators, CPU detection, denormal mode."""
        value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
        node = onnx.helper.make_node("Relu", ["x"], ["y"])
        result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
        graph = onnx.helper.make_graph([node], "warm", [value], [result])
        opset = [onnx.helper.make_opsetid("", 17)]
        model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
        self.execute(model.SerializeToString(), np.ones(1, np.float32))

    def load(self, model: bytes, target: Target, free: Mapping[str, int]) -> OnnxNetwork:
        """Build a session and weigh it.

        Raises:
            MemoryError: it does not fit.
            ValueError: the target asks for what this runtime cannot do.
        """
        with _memory_errors():
            return OnnxNetwork(model, target, free)

    def execute(self, model: bytes, inputs: np.ndarray) -> np.ndarray:
        """First output of the network; a network of fixed batch runs as often as needed."""
        with _memory_errors():
            session = ort.InferenceSession(model, _options(Target()), providers=_PROVIDERS)
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

    def __init__(self, model: bytes, target: Target, free: Mapping[str, int]) -> None:
        if target.precision != "fp32":
            raise ValueError(f"onnxrt runs fp32 networks; the target asks for {target.precision}")
        options = _options(target)
        for name, size in free.items():
            options.add_free_dimension_override_by_name(name, size)
        self._scratch = _scratch(len(model))
        _record_into(options, Path(self._scratch.name))
        with PeakWatch() as peak:
            self._session = ort.InferenceSession(model, options, providers=_PROVIDERS)
            self._creation_peak_mb = peak.grown_mb()
        self._binding = self._bind(target)

    def weigh(self) -> None:
        """Two profiled runs; profiling is over when this returns."""
        with self._scratch as folder, _memory_errors():
            for _ in range(_PROFILED_RUNS):
                self.run()
            events = _kernel_events(Path(self._session.end_profiling()))
            graph = onnx.load(Path(folder) / "optimised.onnx", load_external_data=False).graph
        self.memory, self.doubts = _weigh(graph, events, self._creation_peak_mb)

    def run(self) -> None:
        """One inference."""
        self._session.run_with_iobinding(self._binding)

    def _bind(self, target: Target) -> Any:
        binding = self._session.io_binding()
        random = np.random.default_rng(0)
        for entry in self._session.get_inputs():
            values = _input_values(entry, target, random)
            binding.bind_ortvalue_input(entry.name, ort.OrtValue.ortvalue_from_numpy(values))
        for entry in self._session.get_outputs():
            binding.bind_output(entry.name, "cpu")
        return binding


def _options(target: Target) -> ort.SessionOptions:
    options = ort.SessionOptions()
    wanted = {"optimization": "all", "arena": True, "memory_pattern": True, **target.options}
    unknown = sorted(set(wanted) - {"optimization", "arena", "memory_pattern"})
    if unknown or wanted["optimization"] not in _LEVELS:
        raise ValueError(
            f"options of onnxrt are optimization ({', '.join(_LEVELS)}), arena and memory_pattern "
            f"(true or false); given: {dict(target.options)}"
        )
    options.graph_optimization_level = _LEVELS[wanted["optimization"]]
    options.enable_cpu_mem_arena = bool(wanted["arena"])
    options.enable_mem_pattern = bool(wanted["memory_pattern"])
    options.intra_op_num_threads = target.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return options


def _record_into(options: ort.SessionOptions, folder: Path) -> None:
    """Have the session write its optimised graph and a profile; weights go to a separate file."""
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    entry = "session.optimized_model_external_initializers_"
    options.add_session_config_entry(entry + "file_name", "weights.bin")
    options.add_session_config_entry(entry + "min_size_in_bytes", "1024")


def _scratch(model_bytes: int) -> tempfile.TemporaryDirectory[str]:
    """A folder for files that live for a moment: in memory where there is room, else on disk."""
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and shutil.disk_usage(shared).free > 4 * model_bytes + 2**24
    return tempfile.TemporaryDirectory(prefix="hwprune-", dir=shared if roomy else None)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn ONNX Runtime's ways of saying "no memory" into MemoryError."""
    try:
        yield
    except Exception as error:
        if any(text in str(error) for text in _OUT_OF_MEMORY):
            raise MemoryError(str(error)) from error
        raise


def _input_values(entry: Any, target: Target, random: np.random.Generator) -> np.ndarray:
    """Zero-mean unit values: speed does not depend on them as long as they are ordinary."""
    if not all(isinstance(size, int) and size > 0 for size in entry.shape):
        raise ValueError(f"input '{entry.name}' has no fixed shape: {entry.shape}")
    if entry.shape and entry.shape[0] != target.batch:
        raise ValueError(
            f"input '{entry.name}' has a fixed batch of {entry.shape[0]}, the target asks for "
            f"{target.batch}"
        )
    if entry.type == "tensor(float)":
        return random.standard_normal(entry.shape).astype(np.float32)
    if entry.type in ("tensor(int64)", "tensor(int32)"):
        return np.zeros(entry.shape, entry.type[7:-1])
    raise ValueError(f"input '{entry.name}' is {entry.type}; float, int32 and int64 can be filled")


def _kernel_events(profile: Path) -> list[Mapping[str, Any]]:
    """What each kernel said of itself, in execution order, run after run."""
    return [
        event["args"]
        for event in json.loads(profile.read_text())
        if event.get("cat") == "Node" and "op_name" in event.get("args", {})
    ]


def _weigh(
    graph: onnx.GraphProto, events: Sequence[Mapping[str, Any]], creation_peak_mb: float | None
) -> tuple[Memory, tuple[str, ...]]:
    """Memory from the optimised graph and the profile of its first run."""
    first = events[: len(events) // _PROFILED_RUNS]
    activations, doubts = _activation_bytes(graph, first)
    held = [int(e["mem_arena_held"]) for e in events if "mem_arena_held" in e]
    return Memory(
        weights_mb=weight_bytes(graph) / 1e6,
        activations_mb=activations / 1e6,
        arena_mb=max(held) / 1e6 if held else None,
        creation_peak_mb=creation_peak_mb,
    ), doubts


def _activation_bytes(
    graph: onnx.GraphProto, events: Sequence[Mapping[str, Any]]
) -> tuple[int, tuple[str, ...]]:
    """Peak of live activations: the allocator's own count, or liveness where it tells none."""
    if all(_IN_USE in event for event in events):
        before = int(events[0][_IN_USE]) - int(events[0]["mem_requested_in_use_delta"])
        return max(int(event[_IN_USE]) for event in events) - before, ()
    nodes = list(graph.node)
    if [node.op_type for node in nodes] == [event["op_name"] for event in events]:
        outputs = [value.name for value in graph.output]
        return max(Liveness(nodes, _tensors(nodes, events), outputs).live_bytes()), ()
    least = max(int(e.get("activation_size", 0)) + int(e["output_size"]) for e in events)
    return least, ("peak activations are a lower bound: the graph has inner graphs",)


def _tensors(
    nodes: Sequence[onnx.NodeProto], events: Sequence[Mapping[str, Any]]
) -> dict[str, Tensor]:
    """Type and shape of every node output, as the profile saw them."""
    found = {}
    for node, event in zip(nodes, events, strict=True):
        names = [name for name in node.output if name]
        for name, typed in zip(names, event["output_type_shape"], strict=True):
            ((dtype, shape),) = typed.items()
            if dtype not in BYTES:
                raise ValueError(f"'{name}' is of type {dtype}, whose size is not known")
            found[name] = Tensor(dtype=dtype, shape=tuple(shape))
    return found
