"""TensorRT's Python API, of 10.x (JetPack 6 and 7) and of 11.x alike.

From 11 on networks are strongly typed: precision is no flag of the builder but lies in the graph,
and whoever calls `build` must have put it there (`hwprune_device.precision`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hwprune_device.runtimes.trt.callbacks import (
    Batches,
    CancelledError,
    TrtError,
    Words,
    make_calibrator,
    make_logger,
    make_monitor,
)
from hwprune_device.runtimes.trt.engine import Engine

_LIBRARIES = {False: ("TensorRT", (10, 3), 11), True: ("TensorRT for RTX", (1, 7), 1)}
"""By whether it is that for RTX: its title, the oldest release that is used, and the first whose
networks are strongly typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How an engine is built."""

    precision: str = "fp32"
    level: int = 3
    """0 to 5: how long the builder may look for fast kernels."""
    workspace_mb: float | None = None
    """Scratch memory that a kernel may take; None: as much as the device has."""
    dla: int | None = None
    gpu_fallback: bool = True
    """Layers that a DLA cannot run go to the GPU."""
    timing_cache: bytes = b""
    calibration: str = "qdq"
    """"entropy" or "minmax": let the builder find the ranges of int8 (10.x); needs `batches`."""
    ranges_from: str = ""
    """A name for the inputs it finds them on; empty for made-up ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A built engine, serialised, and what was learnt while it was built."""

    engine: bytes
    timing_cache: bytes
    fell_back: tuple[str, ...]
    """Layers that go to the GPU because the DLA cannot run them."""


class TensorRT:
    """The library on this board.

    Raises:
        ImportError: it is not installed, or too old.
    """

    def __init__(self, module: Any = None, *, rtx: bool = False) -> None:
        """`module` stands in for `tensorrt`; with `rtx` it is TensorRT for RTX."""
        self._trt = module or (_rtx_module() if rtx else importlib.import_module("tensorrt"))
        self.version = str(self._trt.__version__)
        name, oldest, typed_from = _LIBRARIES[rtx]
        self.title = f"{name} {self.version}"
        # Major and minor: a last part such as "post1" is no number.
        numbers = tuple(int(part) for part in self.version.split(".")[:2])
        if numbers < oldest:
            needed = ".".join(map(str, oldest))
            raise ImportError(f"{self.title} is too old; {needed} or newer is needed")
        self.strongly_typed = numbers[0] >= typed_from
        # That for RTX chooses kernels when an engine first runs, and warns of the old calls.
        self._times_kernels = not rtx

    def build(
        self,
        model: bytes,
        wanted: BuildOptions,
        proceed: Callable[[str], bool],
        batches: Batches | None = None,
    ) -> Plan:
        """An engine of an ONNX network whose shapes are fixed.

        `proceed` is called with every step of the builder and returns whether to go on.

        Raises:
            MemoryError: the builder lacked memory.
            CancelledError: `proceed` said no.
            TrtError: the network cannot be parsed or built.
        """
        words, cancelled = Words(), list[str]()
        log = make_logger(self._trt, words)
        builder = self._trt.Builder(log)
        network = builder.create_network()
        self._parse(model, network, log, words)
        _check_sizes(network)
        config = builder.create_builder_config()
        self._set_precision(config, wanted)
        self._set_effort(config, wanted)
        fell_back = self._use_dla(builder, network, config, wanted)
        config.progress_monitor = make_monitor(self._trt, proceed, cancelled)
        if batches is not None:
            config.int8_calibrator = make_calibrator(self._trt, wanted.calibration, batches)
        plan = builder.build_serialized_network(network, config)
        # Checked first: a cancelled build returns None too, and its log is no reason.
        if cancelled:
            raise CancelledError(f"the build was ended during '{cancelled[0]}'")
        if plan is None:
            words.refuse()
        cache = config.get_timing_cache() if self._times_kernels else None
        return Plan(
            engine=bytes(plan),
            timing_cache=bytes(cache.serialize()) if cache is not None else b"",
            fell_back=fell_back,
        )

    def load(self, plan: bytes, dla: int | None = None) -> Engine:
        """The engine of a plan that was built on this very device.

        Raises:
            MemoryError: the device lacks the memory.
            TrtError: the plan is of another device or version.
        """
        words = Words()
        log = make_logger(self._trt, words)
        runtime = self._trt.Runtime(log)
        if dla is not None:
            runtime.DLA_core = dla
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            words.refuse()
        # TensorRT wants its runtime and its logger to outlive the engine.
        return Engine(self._trt, engine, words, outlive=(runtime, log))

    def _parse(self, model: bytes, network: Any, log: Any, words: Words) -> None:
        parser = self._trt.OnnxParser(network, log)
        if parser.parse(model):
            return
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        said = [f"{e.node_operator()} '{e.node_name()}': {e.desc()}" for e in errors]
        raise TrtError("TensorRT cannot read the network: " + "; ".join(said or [words.why()]))

    def _set_precision(self, config: Any, wanted: BuildOptions) -> None:
        flags = self._trt.BuilderFlag
        # It is set by default, and would make "fp32" something else on any GPU since Ampere.
        (config.clear_flag if wanted.precision == "fp32" else config.set_flag)(flags.TF32)
        if self.strongly_typed:
            return
        if wanted.precision == "bf16":
            config.set_flag(flags.BF16)
        if wanted.precision in ("fp16", "int8"):
            config.set_flag(flags.FP16)
        if wanted.precision == "int8":
            config.set_flag(flags.INT8)

    def _set_effort(self, config: Any, wanted: BuildOptions) -> None:
        config.builder_optimization_level = wanted.level
        if wanted.workspace_mb is not None:
            pool = self._trt.MemoryPoolType.WORKSPACE
            config.set_memory_pool_limit(pool, int(wanted.workspace_mb * 1e6))
        if not self._times_kernels:
            return
        cache = config.create_timing_cache(wanted.timing_cache)
        if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
            # Of another device or version: it must not decide anything here.
            config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)

    def _use_dla(
        self, builder: Any, network: Any, config: Any, wanted: BuildOptions
    ) -> tuple[str, ...]:
        if wanted.dla is None:
            return ()
        if self.strongly_typed:
            raise TrtError(
                f"{self.title} has no DLA; 10.7 was the last release that builds for one"
            )
        if wanted.dla >= builder.num_DLA_cores:
            raise TrtError(
                f"the target asks for DLA {wanted.dla}; this board has {builder.num_DLA_cores}"
            )
        config.default_device_type = self._trt.DeviceType.DLA
        config.DLA_core = wanted.dla
        layers = [network.get_layer(i) for i in range(network.num_layers)]
        fell_back = tuple(layer.name for layer in layers if not config.can_run_on_DLA(layer))
        if fell_back and not wanted.gpu_fallback:
            raise TrtError("a DLA cannot run these layers: " + ", ".join(fell_back))
        if wanted.gpu_fallback:
            config.set_flag(self._trt.BuilderFlag.GPU_FALLBACK)
        return fell_back


def _check_sizes(network: Any) -> None:
    """See that all sizes are fixed, as whoever calls has to have set them."""
    inputs = [network.get_input(at) for at in range(network.num_inputs)]
    for value in inputs:
        if any(size < 0 for size in value.shape):
            raise TrtError(f"input '{value.name}' has no fixed shape: {tuple(value.shape)}")


def _rtx_module() -> Any:
    """TensorRT for RTX: NVIDIA's own package, or the wheel of its bindings alone."""
    try:
        return importlib.import_module("tensorrt_rtx")
    except ModuleNotFoundError:
        return importlib.import_module("tensorrt_rtx_bindings")
