"""A stand-in for the driver library as `ctypes` loads it: what pycuda has no names for.

Functions take what ctypes would take (plain integers, `c_void_p`, `byref` of one) and return the
driver's error numbers. Graphs hold the work that was captured and replay it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_cuda.gpu import ScriptedGpu
from tests.doubles.scripted_cuda.queue import Work


class ScriptedDriverLibrary:
    """`ctypes.CDLL("libcuda.so.1")`, with the functions for graphs.

    Args:
        gpu: the device.
    """

    def __init__(self, gpu: ScriptedGpu) -> None:
        self._gpu = gpu
        self._numbers = itertools.count(0x6000_0000, 16)
        self._graphs: dict[int, tuple[list[Work], int]] = {}
        self._functions: dict[str, Callable[..., None]] = {
            "cuStreamBeginCapture_v2": self._begin,
            "cuStreamEndCapture": self._end,
            "cuGraphInstantiateWithFlags": self._instantiate,
            "cuGraphLaunch": self._launch,
            "cuGraphExecDestroy": self._destroy,
            "cuGraphDestroy": self._destroy,
            "cuDevicePrimaryCtxSetFlags_v2": lambda device, flags: None,
        }

    def __getattr__(self, name: str) -> Callable[..., int]:
        call = self.__dict__.get("_functions", {}).get(name)
        if call is None:
            raise AttributeError(f"libcuda.so.1: undefined symbol: {name}")

        def function(*given: Any) -> int:
            try:
                self._gpu.check(name)
                call(*given)
            except CudaFault as error:
                return error.code
            return 0

        return function

    def _begin(self, stream: Any, mode: Any) -> None:
        queue = self._gpu.queue(_number(stream), "cuStreamBeginCapture")
        if queue.handle == 0 or queue.captured is not None:
            # The default stream cannot be captured.
            raise CudaFault("cuStreamBeginCapture", fault.CAPTURE_UNSUPPORTED)
        queue.captured, queue.capture_broken = [], False
        queue.capture_mode, queue.capture_thread = _number(mode), threading.get_ident()

    def _end(self, stream: Any, graph: Any) -> None:
        queue = self._gpu.queue(_number(stream), "cuStreamEndCapture")
        if queue.captured is None:
            raise CudaFault("cuStreamEndCapture", fault.INVALID_VALUE)
        work, queue.captured = queue.captured, None
        _put(graph, 0)
        if queue.capture_broken:
            raise CudaFault("cuStreamEndCapture", fault.CAPTURE_INVALIDATED)
        _put(graph, self._new(work, "graph"))

    def _instantiate(self, executable: Any, graph: Any, flags: Any) -> None:
        _put(executable, self._new(self._held(graph), "graph executable"))

    def _launch(self, executable: Any, stream: Any) -> None:
        queue = self._gpu.queue(_number(stream), "cuGraphLaunch")
        for work in self._held(executable):
            queue.enqueue(work)

    def _destroy(self, graph: Any) -> None:
        self._held(graph)
        _, number = self._graphs.pop(_number(graph))
        self._gpu.ledger.close(number)

    def _new(self, work: list[Work], kind: str) -> int:
        handle = next(self._numbers)
        number = self._gpu.ledger.open(kind, context=self._gpu.runtime_context())
        self._graphs[handle] = (work, number)
        return handle

    def _held(self, graph: Any) -> list[Work]:
        if _number(graph) not in self._graphs:
            raise CudaFault("cuGraph", fault.INVALID_VALUE)
        return self._graphs[_number(graph)][0]


def scripted_driver_library(gpu: ScriptedGpu) -> ScriptedDriverLibrary:
    """The driver library where this were the GPU."""
    return ScriptedDriverLibrary(gpu)


def _number(given: Any) -> int:
    """A plain number or a ctypes integer."""
    value = getattr(given, "value", given)
    return int(value or 0)


def _put(pointer: Any, value: Any) -> None:
    """Write through `byref(x)` or `pointer(x)`."""
    target = pointer._obj if hasattr(pointer, "_obj") else pointer.contents
    target.value = value
