"""A stream of a scripted GPU: work in order, each with a time at which it is finished."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.clock import Clock
from tests.doubles.scripted_cuda.fault import CudaFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A kernel, a network or a copy.

    A queue computes when work is finished as it is enqueued, and lets it act when somebody looks
    at a time after that. So times are exact and do not depend on how fast the machine simulates.
    """

    lasts_ms: Callable[[], float]
    """Asked anew for every launch."""
    act: Callable[[], None]
    """What it does to memory."""


class Queue:
    """One stream.

    Args:
        handle: the number that other libraries know it by.
        context: the CUDA context it lives in.
    """

    def __init__(self, handle: int, context: int, clock: Clock) -> None:
        self.handle = handle
        self.context = context
        self.ready_ms = 0.0
        """When all that was enqueued so far is finished."""
        self.captured: list[Work] | None = None
        """Work caught instead of run, while a graph is captured."""
        self.capture_mode = 0
        self.capture_thread = 0
        self.capture_broken = False
        self._clock = clock
        self._instant_ms: float | None = None
        """When the host began to enqueue, since it last looked at the stream: what it takes to
        simulate an enqueue shall not count as time in which the device was idle."""
        self._pending: deque[tuple[float, Work]] = deque()
        self._settling = threading.RLock()

    def enqueue(self, work: Work) -> float:
        """Have it run after what is there already; the time at which it will be finished."""
        if self.captured is not None:
            self.captured.append(work)
            return self.ready_ms
        if self._instant_ms is None:
            self._instant_ms = self._clock.now_ms()
        self.ready_ms = max(self.ready_ms, self._instant_ms)
        self.ready_ms += work.lasts_ms()
        self._pending.append((self.ready_ms, work))
        return self.ready_ms

    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        self.settle()
        return not self._pending and self._clock.now_ms() >= self.ready_ms

    def synchronize(self) -> None:
        """Wait until nothing is left to do.

        Raises:
            CudaFault: the stream is being captured, which this ends.
        """
        if self.captured is not None:
            self.capture_broken = True
            raise CudaFault("cuStreamSynchronize", fault.CAPTURE_UNSUPPORTED)
        self._clock.wait_until_ms(self.ready_ms)
        self.settle()

    def settle(self) -> None:
        """Let everything act whose time has come."""
        with self._settling:
            self._instant_ms = None
            now = self._clock.now_ms()
            while self._pending and self._pending[0][0] <= now:
                self._pending.popleft()[1].act()
