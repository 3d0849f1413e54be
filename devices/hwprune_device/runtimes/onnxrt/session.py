"""ONNX Runtime itself, which no other file touches: sessions as a target wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from hwprune_device.job import Target
from hwprune_device.runtimes.inputs import input_values
from hwprune_device.runtimes.interface import InputSpec, Interface
from hwprune_device.runtimes.one_node import one_node
from hwprune_device.runtimes.onnxrt import precision, versions
from hwprune_device.runtimes.onnxrt.options import ONNXRT, provider_key
from hwprune_device.runtimes.onnxrt.profile import CPU

_LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
# Texts, because its Python errors have no kind of their own for memory.
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "BFCArena", "Cannot allocate memory")
_NUMPY = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}
Provider = tuple[str, Mapping[str, str]]
_THREADS_OPTION = {"openvino": "num_of_threads", "xnnpack": "intra_op_num_threads"}
"""What providers with threads of their own call them; they do not see the session's number."""


def about() -> dict[str, Any]:
    """Version and build of the library, and the providers it has."""
    return {
        "version": ort.__version__,
        "build": ort.get_build_info(),
        "providers": ort.get_available_providers(),
    }


def prepared(model: bytes, target: Target, denormals: str) -> bytes:
    """The network in the target's precision, and in a file format that this library reads."""
    provider = ONNXRT.of(target)["provider"]
    precision.settle_tf32(provider, target.precision)
    graph = precision.graph_in(model, provider, target.precision)
    return versions.lowered(graph, _newest_format(denormals))


def settings(target: Target, denormals: str) -> tuple[ort.SessionOptions, list[Provider]]:
    """Session options and providers of a target.

    Raises:
        ValueError: other denormals than this process has, or a provider that is not here.
    """
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
    # Fatal ones alone: what matters comes as an exception, and stderr is read by the head.
    options.log_severity_level = 4
    entries = {"session.set_denormal_as_zero": denormals == "zero"}
    for pool in ("intra_op", "inter_op"):
        entries[f"session.{pool}.allow_spinning"] = wanted["spinning"]
    entries["session.disable_cpu_ep_fallback"] = wanted["fallback"] == "refuse"
    for name, value in entries.items():
        options.add_session_config_entry(name, str(int(value)))
    return options, _providers(wanted, target)


def open_session(
    model: bytes, options: ort.SessionOptions, providers: list[Provider]
) -> ort.InferenceSession:
    """A session that runs on the first of the providers.

    Raises:
        ValueError: ONNX Runtime left that provider out, or is too old for the network's opset.
    """
    try:
        # Without this its Python side builds a CPU session when the wanted one fails.
        session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    except Exception as error:
        if words := versions.refused_opset(str(error)):
            raise ValueError(words) from error
        raise
    # It drops a provider that does not start, without raising.
    wanted, used = providers[0][0], session.get_providers()
    if used[0] != wanted:
        raise ValueError(
            f"the target asks for {wanted}; ONNX Runtime could not start it here and took "
            f"{', '.join(used)}: its libraries or its device are missing"
        )
    return session


def interface_of(session: ort.InferenceSession) -> Interface:
    """What a session's network takes and gives."""
    inputs = (
        InputSpec(
            name=entry.name,
            type=_NUMPY.get(entry.type, entry.type),
            # Where any size will do it gives a name, or None.
            shape=tuple(size or "" for size in entry.shape),
        )
        for entry in session.get_inputs()
    )
    return Interface(
        inputs=tuple(inputs), outputs=tuple(value.name for value in session.get_outputs())
    )


def infer(session: ort.InferenceSession, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """All outputs for inputs in the network's order."""
    names = [entry.name for entry in session.get_inputs()]
    return list(session.run(None, dict(zip(names, inputs, strict=True))))


def bound(session: ort.InferenceSession, target: Target) -> ort.IOBinding:
    """Inputs for a session where it reads them, and places for its outputs."""
    binding = session.io_binding()
    # Seeded, so that every reading of a network is of the same values.
    random = np.random.default_rng(0)
    interface = interface_of(session)
    for entry in interface.inputs:
        values = input_values(entry.name, entry.shape, entry.type, target, random)
        binding.bind_ortvalue_input(entry.name, ort.OrtValue.ortvalue_from_numpy(values))
    for name in interface.outputs:
        # Allocated by ONNX Runtime while it runs: shapes may not be known before.
        binding.bind_output(name, "cpu")
    return binding


def keep_optimised(options: ort.SessionOptions, folder: Path) -> None:
    """Have the session write its optimised graph; weights go to a separate file."""
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    entry = "session.optimized_model_external_initializers_"
    options.add_session_config_entry(entry + "file_name", "weights.bin")
    options.add_session_config_entry(entry + "min_size_in_bytes", "1024")


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn ONNX Runtime's ways of saying "no memory" into MemoryError."""
    try:
        yield
    except Exception as error:
        if any(text in str(error) for text in _OUT_OF_MEMORY):
            raise MemoryError(str(error)) from error
        raise


@cache
def _newest_format(denormals: str) -> int | None:
    """The newest version of ONNX's file format that this library reads; None: it does not say."""
    # The first session of a process decides on denormals, even one that cannot be built.
    wanted = settings(Target(options={"denormals": denormals}), denormals)
    try:
        open_session(one_node() + versions.NO_FORMAT, *wanted)
    except Exception as error:
        return versions.newest_format(str(error))
    return None


def _providers(wanted: Mapping[str, Any], target: Target) -> list[Provider]:
    """The wanted provider, and behind it the CPU for what it cannot run."""
    key, available = wanted["provider"], ort.get_available_providers()
    names = {provider_key(name): name for name in available}
    if key not in names:
        has = ", ".join(names.values())
        raise ValueError(f"the target asks for provider {key}; this ONNX Runtime has: {has}")
    own = precision.provider_options(key, target.precision)
    if key in _THREADS_OPTION:
        # The profile's own provider_options are put over it below.
        own[_THREADS_OPTION[key]] = str(target.threads)
    first: list[Provider] = [(names[key], {**own, **wanted["provider_options"]})]
    alone = key == "cpu" or wanted["fallback"] == "refuse"
    return first if alone else [*first, (CPU, {})]
