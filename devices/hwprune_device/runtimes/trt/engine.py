"""A TensorRT engine on the device, and what runs it, by named tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwprune_device.runtimes.trt.callbacks import TrtError, Words, make_profiler


@dataclass(frozen=True, slots=True, kw_only=True)
class IOTensor:
    """An input or output of an engine."""

    name: str
    is_input: bool
    shape: tuple[int, ...]
    dtype: np.dtype


class Engine:
    """An engine on the device; it is freed when nobody holds it or its context any more."""

    def __init__(self, trt: Any, engine: Any, words: Words, outlive: Any) -> None:
        """`outlive`: what must not be freed before the engine."""
        self.trt, self._engine, self.words = trt, engine, words
        self._outlive = outlive
        self.tensors = self._tensors()
        """Inputs and outputs."""
        self.tensors_in = tuple(t for t in self.tensors if t.is_input)
        self.tensors_out = tuple(t for t in self.tensors if not t.is_input)

    @property
    def activations_mb(self) -> float:
        """Scratch and activation memory that an execution context of it takes."""
        return float(self._engine.device_memory_size_v2) / 1e6

    def _tensors(self) -> tuple[IOTensor, ...]:
        engine, found = self._engine, []
        for name in (engine.get_tensor_name(i) for i in range(engine.num_io_tensors)):
            found.append(
                IOTensor(
                    name=name,
                    is_input=engine.get_tensor_mode(name) == self.trt.TensorIOMode.INPUT,
                    shape=tuple(engine.get_tensor_shape(name)),
                    dtype=np.dtype(self.trt.nptype(engine.get_tensor_dtype(name))),
                )
            )
        return tuple(found)

    def context(self) -> Context:
        """What runs the engine.

        Raises:
            MemoryError: its activations do not fit.
        """
        made = self._engine.create_execution_context()
        # The engine is loaded, so memory is taken to be what is missing.
        if made is None:
            raise MemoryError(self.words.why())
        return Context(made, self)


class Context:
    """Runs an engine with buffers that were given to it."""

    def __init__(self, context: Any, engine: Engine) -> None:
        self._context, self._engine = context, engine

    def bind(self, tensor: IOTensor, address: int) -> None:
        """Where a tensor's values lie on the device.

        Raises:
            TrtError: TensorRT does not take it.
        """
        if not self._context.set_tensor_address(tensor.name, address):
            raise TrtError(f"no place for '{tensor.name}': {self._engine.words.why()}")

    def tell(self, told: Callable[[str, float], None]) -> None:
        """Pass on, from now on, what each layer of the engine takes in every inference."""
        # TensorRT keeps no reference to it.
        self._profiler: Any = make_profiler(self._engine.trt, told)
        self._context.profiler = self._profiler

    def enqueue(self, stream: int) -> None:
        """Start one inference on a stream, given by its handle.

        Raises:
            TrtError: it cannot be started.
        """
        if not self._context.execute_async_v3(stream_handle=stream):
            raise TrtError("the network cannot be started: " + self._engine.words.why())
