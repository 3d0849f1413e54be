"""One scripted GPU: contexts, streams, memory, and an error that stays until the process ends."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.clock import Clock, RealClock
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_cuda.ledger import Ledger
from tests.doubles.scripted_cuda.memory import DeviceMemory
from tests.doubles.scripted_cuda.queue import Queue, Work

GLOBAL_CAPTURE, THREAD_CAPTURE = 0, 1
"""Capture modes: unsafe calls of any thread, or of the capturing one, end the capture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFacts:
    """What the device is; an Orin Nano unless said otherwise."""

    name: str = "Orin"
    capability: tuple[int, int] = (8, 7)
    total_bytes: int = 8 << 30
    taken_bytes: int = 512 << 20
    """Held by the driver and by others from the start."""
    copy_bytes_per_ms: float = 1e7
    """Speed of transfers between host and device."""
    driver_version: int = 12060
    devices: int = 1
    """0 for a machine without a GPU; only the first one is scripted."""


@dataclass(slots=True, kw_only=True)
class _Context:
    primary: bool
    holders: int = 1


class ScriptedGpu:
    """The device behind `scripted_pycuda`, `scripted_driver_library` and `scripted_tensorrt`.

    Args:
        facts: what it says of itself.
        clock: real time, unless a test brings another.
    """

    def __init__(self, facts: GpuFacts | None = None, clock: Clock | None = None) -> None:
        self.facts = facts or GpuFacts()
        self.clock = clock or RealClock()
        self.ledger = Ledger()
        self.memory = DeviceMemory(self.facts.total_bytes, self.facts.taken_bytes, self.ledger)
        self.broken = 0
        """The error that every call gives from now on; 0 for none."""
        self.initialised = False
        self._numbers = itertools.count(1)
        self._contexts: dict[int, _Context] = {}
        self._primary = 0
        self._queues: dict[int, Queue] = {}
        self._threads = threading.local()

    def break_down(self, code: int = fault.ILLEGAL_ADDRESS) -> None:
        """From now on nothing works until the process ends, as after a kernel gone astray."""
        self.broken = self.broken or code

    def check(self, routine: str) -> None:
        """Give the lasting error, if there is one.

        Raises:
            CudaFault: the device broke down.
        """
        if self.broken:
            raise CudaFault(routine, self.broken)

    def check_capture(self, routine: str) -> None:
        """Refuse what may not happen while a graph is captured, which ends that capture.

        Raises:
            CudaFault: a graph is being captured.
        """
        for queue in self._queues.values():
            ours = queue.capture_thread == threading.get_ident()
            guarded = queue.capture_mode == GLOBAL_CAPTURE or (
                queue.capture_mode == THREAD_CAPTURE and ours
            )
            if queue.captured is not None and guarded:
                queue.capture_broken = True
                raise CudaFault(routine, fault.CAPTURE_UNSUPPORTED)

    # Contexts.

    def retain_primary(self) -> int:
        """The device's one primary context, for one more holder."""
        if self._primary:
            self._contexts[self._primary].holders += 1
        else:
            self._primary = self._new_context(primary=True)
        return self._primary

    def create_context(self) -> int:
        """A context of its own."""
        return self._new_context(primary=False)

    def release_context(self, context: int) -> None:
        """One holder less; with the last one it goes, and all that lives in it."""
        held = self._contexts[context]
        held.holders -= 1
        if held.holders:
            return
        del self._contexts[context]
        if held.primary:
            self._primary = 0
        self.memory.forget(context)
        self._queues = {at: q for at, q in self._queues.items() if q.context != context}
        self.ledger.orphan(context)

    @property
    def stack(self) -> list[int]:
        """Contexts of this thread; the last one is current."""
        if not hasattr(self._threads, "stack"):
            self._threads.stack = []
        stack: list[int] = self._threads.stack
        return stack

    def current(self, routine: str, said: str = "") -> int:
        """The current context.

        Raises:
            CudaFault: this thread has none.
        """
        if not self.stack or self.stack[-1] not in self._contexts:
            raise CudaFault(routine, fault.INVALID_CONTEXT, said)
        return self.stack[-1]

    def runtime_context(self) -> int:
        """The context that libraries on the CUDA runtime work in: the current or primary one."""
        if self.stack and self.stack[-1] in self._contexts:
            return self.stack[-1]
        # The runtime keeps the primary context that it made, until the process ends.
        return self._primary or self.retain_primary()

    def _new_context(self, *, primary: bool) -> int:
        context = next(self._numbers)
        self._contexts[context] = _Context(primary=primary)
        return context

    # Streams.

    def create_queue(self, context: int) -> Queue:
        """A stream."""
        handle = 0x5000_0000 + 16 * next(self._numbers)
        self._queues[handle] = Queue(handle, context, self.clock)
        return self._queues[handle]

    def queue(self, handle: int, routine: str) -> Queue:
        """A stream by its handle; 0 is the default stream.

        Raises:
            CudaFault: there is none with this handle.
        """
        if handle == 0 and 0 not in self._queues:
            self._queues[0] = Queue(0, self.runtime_context(), self.clock)
        if handle not in self._queues:
            raise CudaFault(routine, fault.INVALID_HANDLE)
        return self._queues[handle]

    def destroy_queue(self, handle: int) -> None:
        """A stream is no more; what it still had to do is done."""
        queue = self._queues.pop(handle, None)
        if queue is not None and queue.captured is None and queue.ready_ms < float("inf"):
            queue.synchronize()

    def launch(
        self, queue: Queue, act: Callable[[], None], lasts_ms: Callable[[], float]
    ) -> float:
        """Enqueue work that breaks the device where it touches memory that is not allocated."""

        def guarded() -> None:
            if self.broken:
                return
            try:
                act()
            except CudaFault as error:
                self.break_down(error.code)

        return queue.enqueue(Work(lasts_ms=lasts_ms, act=guarded))

    def synchronize(self, routine: str) -> None:
        """Wait for all streams.

        Raises:
            CudaFault: the device broke down, or a graph is being captured.
        """
        self.check_capture(routine)
        for queue in list(self._queues.values()):
            if queue.captured is None:
                queue.synchronize()
        self.check(routine)
