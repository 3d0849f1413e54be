"""CUDA: the one file that touches pycuda; a context, and what a timed network needs in it."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hwprune_device.runtimes import BrokenProcessError

_THREAD_LOCAL = 1
"""Capture mode: other threads of the process may go on calling CUDA."""
_LIBRARY = "libcuda.so.1"
_SPIN, _BLOCK = 1, 4
"""How a thread waits for a context's work (CU_CTX_SCHED_SPIN, CU_CTX_SCHED_BLOCKING_SYNC)."""


class CudaError(RuntimeError):
    """A call of the driver library that failed."""


def load_driver() -> Any:
    """The module `pycuda.driver`.

    Raises:
        ImportError: pycuda is not installed.
    """
    # Not pycuda.autoinit, which makes a context of its own on import.
    return importlib.import_module("pycuda.driver")


def driver_version(driver: Any) -> int:
    """The CUDA version of the driver, such as 12060; touches no GPU."""
    return int(driver.get_driver_version())


class Cuda:
    """The primary context of a GPU, current in the thread that made it, until `close`.

    The primary one, because TensorRT's own threads work in that. Made in the child that measures:
    a context does not survive a fork.

    Args:
        spin: wait for the GPU busily, which is quicker by some 20 to 50 µs, or let the core sleep.
        driver: stands in for the module `pycuda.driver`.
        library: stands in for the driver library, for what pycuda lacks.

    Raises:
        CudaError: there is no GPU to be had.
    """

    def __init__(
        self, *, spin: bool = True, device: int = 0, driver: Any = None, library: Any = None
    ) -> None:
        self._driver = driver or load_driver()
        try:
            self._library = library or ctypes.CDLL(_LIBRARY)
            self._driver.init()
            self._device = self._driver.Device(device)
            waiting = _SPIN if spin else _BLOCK
            # Before the context is there: older drivers refuse new flags for an active one.
            _call(self._library, "cuDevicePrimaryCtxSetFlags_v2", device, waiting)
            self._context = self._device.retain_primary_context()
            self._context.push()
        except (self._driver.Error, OSError) as error:
            raise CudaError(f"CUDA does not start on GPU {device}: {error}") from error

    @property
    def name(self) -> str:
        """The GPU's name."""
        return str(self._device.name())

    @property
    def capability(self) -> str:
        """Its compute capability, such as "8.7"."""
        major, minor = self._device.compute_capability()
        return f"{major}.{minor}"

    @property
    def driver_version(self) -> int:
        """The CUDA version of the driver, such as 12060."""
        return driver_version(self._driver)

    @property
    def free_mb(self) -> float:
        """Memory of the GPU that nobody has; on a Jetson the board's own memory.

        Raises:
            CudaError: the calling thread has no context.
        """
        try:
            free, _ = self._driver.mem_get_info()
        except self._driver.Error as error:
            raise CudaError(f"free memory is not told: {error}") from error
        return float(free) / 1e6

    def stream(self) -> Any:
        """A stream; `handle` is its address."""
        return self._driver.Stream()

    def event(self) -> Any:
        """An event that keeps time."""
        return self._driver.Event()

    def buffer(self, size_bytes: int) -> Any:
        """Memory on the GPU; `int()` of it is its address, `free()` gives it back.

        Raises:
            MemoryError: there is not so much left.
        """
        try:
            # cuMemAlloc refuses 0 bytes, which an empty tensor has.
            return self._driver.mem_alloc(max(1, size_bytes))
        except self._driver.MemoryError as error:
            said = f"the GPU has no {size_bytes / 1e6:.1f} MB left: {error}"
            raise MemoryError(said) from error

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Memory of the host that the GPU can copy by itself.

        Raises:
            MemoryError: there is not so much left.
        """
        try:
            return np.asarray(self._driver.pagelocked_empty(shape, dtype))
        except self._driver.MemoryError as error:
            raise MemoryError(f"no locked memory of shape {shape} left: {error}") from error

    def to_device(self, buffer: Any, values: np.ndarray, stream: Any) -> None:
        """Start copying pinned values to a buffer."""
        self._driver.memcpy_htod_async(buffer, values, stream)

    def to_host(self, values: np.ndarray, buffer: Any, stream: Any) -> None:
        """Start copying a buffer to pinned values."""
        self._driver.memcpy_dtoh_async(values, buffer, stream)

    def capture(self, stream: Any, enqueue: Callable[[], None]) -> CudaGraph:
        """What `enqueue` puts on the stream, as a graph that can be launched at once.

        Raises:
            CudaError: the work cannot be captured.
        """
        return CudaGraph(self._library, stream, enqueue)

    @contextmanager
    def sound(self) -> Iterator[None]:
        """Whatever goes wrong inside is looked at: did it break the context for all?

        Raises:
            BrokenProcessError: an error stuck to the context, in which nothing works any more.
        """
        try:
            yield
        except Exception as error:
            try:
                # An error that stuck to the context comes back from every later call.
                self._driver.Context.synchronize()
            except self._driver.Error:
                raise BrokenProcessError(f"the GPU cannot go on: {error}") from error
            raise

    def close(self) -> None:
        """Give the context back; everything in it must have been freed before."""
        if self._context is not None:
            self._context.pop()
            self._context.detach()
            self._context = None


class CudaGraph:
    """Captured work of a stream; launching it costs the host one call."""

    def __init__(self, library: Any, stream: Any, enqueue: Callable[[], None]) -> None:
        self._library = library
        self._stream = ctypes.c_void_p(stream.handle)
        self._graph, self._ready = ctypes.c_void_p(), ctypes.c_void_p()
        _call(library, "cuStreamBeginCapture_v2", self._stream, _THREAD_LOCAL)
        try:
            enqueue()
        finally:
            # A capture that is left open would make every later call on the stream fail.
            ended = library.cuStreamEndCapture(self._stream, ctypes.byref(self._graph))
        if ended or not self._graph:
            raise CudaError(f"the network cannot be captured as a CUDA graph: code {ended}")
        flags = ctypes.c_ulonglong(0)
        try:
            _call(
                library,
                "cuGraphInstantiateWithFlags",
                ctypes.byref(self._ready),
                self._graph,
                flags,
            )
        except CudaError:
            self.close()
            raise

    def launch(self) -> None:
        """Put the captured work on the stream.

        Raises:
            CudaError: it cannot be launched.
        """
        _call(self._library, "cuGraphLaunch", self._ready, self._stream)

    def close(self) -> None:
        """Give the graph back."""
        if self._ready:
            self._library.cuGraphExecDestroy(self._ready)
            self._ready = ctypes.c_void_p()
        if self._graph:
            self._library.cuGraphDestroy(self._graph)
            self._graph = ctypes.c_void_p()


def _call(library: Any, name: str, *arguments: Any) -> None:
    code = getattr(library, name)(*arguments)
    if code:
        raise CudaError(f"{name} failed with code {code}")
