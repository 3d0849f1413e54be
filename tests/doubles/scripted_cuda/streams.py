"""Streams and events as pycuda gives them: both are freed when nothing refers to them any more."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.contexts import Context
from tests.doubles.scripted_cuda.errors import translated
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_cuda.gpu import ScriptedGpu
from tests.doubles.scripted_cuda.queue import Queue


class Stream:
    """`pycuda.driver.Stream`."""

    _gpu: ClassVar[ScriptedGpu]
    _contexts: ClassVar[type[Context]]

    @translated
    def __init__(self, flags: int = 0) -> None:
        gpu, ward = self._gpu, self._contexts.ward()
        gpu.check("cuStreamCreate")
        self._queue = gpu.create_queue(ward.handle)
        handle = self._queue.handle
        when_unused(self, gpu, ward, "stream", lambda: gpu.destroy_queue(handle))

    @property
    def handle(self) -> int:
        """The number that other libraries take."""
        return self._queue.handle

    @translated
    def synchronize(self) -> None:
        """Wait for all its work."""
        self._gpu.check("cuStreamSynchronize")
        self._queue.synchronize()
        self._gpu.check("cuStreamSynchronize")

    @translated
    def is_done(self) -> bool:
        """Whether all its work is done."""
        done = self._queue.is_done()
        self._gpu.check("cuStreamQuery")
        return done


class Event:
    """`pycuda.driver.Event`."""

    _gpu: ClassVar[ScriptedGpu]
    _contexts: ClassVar[type[Context]]

    @translated
    def __init__(self, flags: int = 0) -> None:
        ward = self._contexts.ward()
        self._gpu.check("cuEventCreate")
        self._queue: Queue | None = None
        self._captured = False
        self.reached_ms = 0.0
        """When the device gets, or got, there."""
        when_unused(self, self._gpu, ward, "event", lambda: None)

    @translated
    def record(self, stream: Stream | None = None) -> Event:
        """Put it behind the work of a stream."""
        self._gpu.check("cuEventRecord")
        handle = stream.handle if stream is not None else 0
        self._queue = self._gpu.queue(handle, "cuEventRecord")
        self._captured = self._queue.captured is not None
        if not self._captured:
            self.reached_ms = self._gpu.launch(self._queue, lambda: None, lambda: 0.0)
        return self

    @translated
    def synchronize(self) -> Event:
        """Wait until the device gets there."""
        self._look("cuEventSynchronize")
        if self._queue is not None:
            self._gpu.clock.wait_until_ms(self.reached_ms)
        self._settle("cuEventSynchronize")
        return self

    @translated
    def query(self) -> bool:
        """Whether the device got there; of an event that was never recorded, True."""
        self._look("cuEventQuery")
        self._settle("cuEventQuery")
        return self._queue is None or self._gpu.clock.now_ms() >= self.reached_ms

    @translated
    def time_till(self, end: Event) -> float:
        """Milliseconds from this event to another one."""
        for event in (self, end):
            event._look("cuEventElapsedTime")
            if event._queue is None:
                raise CudaFault("cuEventElapsedTime", fault.INVALID_HANDLE)
            if self._gpu.clock.now_ms() < event.reached_ms:
                raise CudaFault("cuEventElapsedTime", fault.NOT_READY)
        return float(np.float32(end.reached_ms - self.reached_ms))

    def _look(self, routine: str) -> None:
        self._gpu.check(routine)
        if self._captured:
            raise CudaFault(routine, fault.CAPTURED_EVENT)

    def _settle(self, routine: str) -> None:
        if self._queue is not None:
            self._queue.settle()
        self._gpu.check(routine)


def when_unused(
    thing: object, gpu: ScriptedGpu, ward: Context, kind: str, free: Callable[[], None]
) -> None:
    """Enter something into the ledger, and free it when nothing refers to it any more.

    As with pycuda it keeps its context; it cannot be freed after that was detached, nor from a
    thread that cannot enter it, and then it stays in the ledger.
    """
    number = gpu.ledger.open(kind, context=ward.handle)

    def freeing() -> None:
        if ward.alive and not ward.can_be_entered():
            said = f"{kind} in out-of-thread context could not be cleaned up"
            warnings.warn(said, UserWarning, stacklevel=2)
        elif ward.alive:
            free()
            gpu.ledger.close(number)

    weakref.finalize(thing, freeing).atexit = False
