"""Memory of the device and of the host, and copies between them, as pycuda gives them."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.contexts import Context
from tests.doubles.scripted_cuda.errors import translated
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_cuda.gpu import ScriptedGpu
from tests.doubles.scripted_cuda.queue import Queue
from tests.doubles.scripted_cuda.streams import Stream, when_unused


class DeviceAllocation:
    """What `mem_alloc` gives."""

    def __init__(self, gpu: ScriptedGpu, ward: Context, address: int) -> None:
        self._address = address

        def free() -> None:
            # A context that went took its memory along.
            if ward.alive:
                gpu.memory.free(address)

        self._free = weakref.finalize(self, free)
        self._free.atexit = False

    @translated
    def free(self) -> None:
        """Give it back; once."""
        if not self._free.alive:
            raise CudaFault("device_allocation::free", fault.INVALID_HANDLE)
        self._free()

    def __int__(self) -> int:
        return self._address

    __index__ = __int__


class PagelockedHostAllocation:
    """The `base` of an array of `pagelocked_empty`."""

    def __init__(self, gpu: ScriptedGpu, ward: Context, data: np.ndarray) -> None:
        self.__array_interface__ = data.__array_interface__
        self._data = data
        when_unused(self, gpu, ward, "pinned host memory", lambda: None)


class Buffers:
    """pycuda's functions on memory."""

    def __init__(self, gpu: ScriptedGpu, contexts: type[Context]) -> None:
        self._gpu = gpu
        self._contexts = contexts

    @translated
    def mem_get_info(self) -> tuple[int, int]:
        """Bytes that are free and bytes in all."""
        self._gpu.current("cuMemGetInfo")
        self._gpu.check("cuMemGetInfo")
        return self._gpu.memory.free_bytes, self._gpu.memory.total_bytes

    @translated
    def mem_alloc(self, size: int, /) -> DeviceAllocation:
        """Bytes on the device; what nobody refers to is collected first when they run out."""
        ward = self._contexts.ward()
        self._gpu.check("cuMemAlloc")
        self._gpu.check_capture("cuMemAlloc")
        try:
            address = self._gpu.memory.allocate(size, ward.handle)
        except CudaFault as error:
            if error.code != fault.OUT_OF_MEMORY:
                raise
            gc.collect()
            address = self._gpu.memory.allocate(size, ward.handle)
        return DeviceAllocation(self._gpu, ward, address)

    @translated
    def pagelocked_empty(self, shape: int | Sequence[int], dtype: npt.DTypeLike) -> np.ndarray:
        """An array in memory that the device can copy from and to by itself."""
        ward = self._contexts.ward()
        self._gpu.check("cuMemHostAlloc")
        self._gpu.check_capture("cuMemHostAlloc")
        return np.asarray(PagelockedHostAllocation(self._gpu, ward, np.empty(shape, dtype)))

    @translated
    def memcpy_htod_async(self, dest: Any, src: Any, stream: Stream | None = None) -> None:
        """Copy to the device, in a stream; pageable memory is read at once."""
        routine, data = "cuMemcpyHtoDAsync", memoryview(src).cast("B")
        queue = self._begin(routine, stream)
        self._check(routine, len(data), dest)
        self._check_pinned(routine, queue, src)
        held = data if is_pinned(src) else bytes(data)
        view, to = self._gpu.memory.view, int(dest)

        def act() -> None:
            view(to, len(held))[:] = held

        self._copy(queue, len(data), act)

    @translated
    def memcpy_dtoh(self, dest: Any, src: Any) -> None:
        """Copy from the device."""
        self._gpu.check_capture("cuMemcpyDtoH")
        self._to_host("cuMemcpyDtoH", dest, src, None).synchronize()
        self._gpu.check("cuMemcpyDtoH")

    @translated
    def memcpy_dtoh_async(self, dest: Any, src: Any, stream: Stream | None = None) -> None:
        """Copy from the device, in a stream; for pageable memory that waits until it is done."""
        queue = self._to_host("cuMemcpyDtoHAsync", dest, src, stream)
        if not is_pinned(dest):
            queue.synchronize()
            self._gpu.check("cuMemcpyDtoHAsync")

    def _to_host(self, routine: str, dest: Any, src: Any, stream: Stream | None) -> Queue:
        queue, data = self._begin(routine, stream), memoryview(dest).cast("B")
        self._check(routine, len(data), src)
        self._check_pinned(routine, queue, dest)
        view, source = self._gpu.memory.view, int(src)

        def act() -> None:
            data[:] = view(source, len(data))

        self._copy(queue, len(data), act)
        return queue

    def _begin(self, routine: str, stream: Stream | None) -> Queue:
        self._gpu.current(routine)
        self._gpu.check(routine)
        return self._gpu.queue(stream.handle if stream is not None else 0, routine)

    def _check(self, routine: str, size: int, address: Any) -> None:
        try:
            self._gpu.memory.view(int(address), size)
        except CudaFault:
            raise CudaFault(routine, fault.INVALID_VALUE) from None

    def _check_pinned(self, routine: str, queue: Queue, array: Any) -> None:
        if queue.captured is not None and not is_pinned(array):
            queue.capture_broken = True
            raise CudaFault(routine, fault.CAPTURE_UNSUPPORTED)

    def _copy(self, queue: Queue, size: int, act: Callable[[], None]) -> None:
        lasts_ms = math.ceil(size) / self._gpu.facts.copy_bytes_per_ms
        self._gpu.launch(queue, act, lambda: lasts_ms)


def is_pinned(array: Any) -> bool:
    """Whether an array lies in memory of `pagelocked_empty`, itself or as a view."""
    while array is not None:
        if isinstance(array, PagelockedHostAllocation):
            return True
        array = getattr(array, "base", None)
    return False
