"""A stand-in for the driver library as `ctypes` loads it: what pycuda has no names for.

Functions take what ctypes would take (plain integers, `c_void_p`, `byref` of one) and return the
driver's error numbers. Graphs hold the work that was captured and replay it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.fault import NAMES, CudaFault
from tests.doubles.scripted_cuda.gpu import ScriptedGpu
from tests.doubles.scripted_cuda.queue import Work


class DriverFunction:
    """One function of the library; `argtypes` and `restype` can be set and change nothing."""

    argtypes: Sequence[Any] | None = None
    restype: Any = None

    def __init__(self, gpu: ScriptedGpu, name: str, call: Callable[..., None]) -> None:
        self._gpu = gpu
        self._name = name
        self._call = call
        self.calls = 0

    def __call__(self, *given: Any) -> int:
        """The driver's error number, 0 for success."""
        self.calls += 1
        try:
            self._gpu.check(self._name)
            self._call(*given)
        except CudaFault as error:
            return error.code
        return 0


class ScriptedDriverLibrary:
    """`ctypes.CDLL("libcuda.so.1")`, with the functions for graphs and errors.

    Args:
        gpu: the device.
    """

    def __init__(self, gpu: ScriptedGpu) -> None:
        self._gpu = gpu
        self._numbers = itertools.count(0x6000_0000, 16)
        self._graphs: dict[int, tuple[list[Work], int]] = {}
        functions: dict[str, Callable[..., None]] = {
            "cuStreamBeginCapture_v2": self._begin,
            "cuStreamEndCapture": self._end,
            "cuStreamIsCapturing": self._is_capturing,
            "cuGraphInstantiateWithFlags": self._instantiate,
            "cuGraphUpload": self._upload,
            "cuGraphLaunch": self._launch,
            "cuGraphExecDestroy": self._destroy,
            "cuGraphDestroy": self._destroy,
            "cuGetErrorName": self._error_name,
            "cuGetErrorString": self._error_string,
            "cuDevicePrimaryCtxSetFlags_v2": self._set_primary_flags,
        }
        self._functions = {
            name: DriverFunction(gpu, name, call) for name, call in functions.items()
        }

    def __getattr__(self, name: str) -> DriverFunction:
        functions = self.__dict__.get("_functions", {})
        if name not in functions:
            raise AttributeError(f"libcuda.so.1: undefined symbol: {name}")
        found: DriverFunction = functions[name]
        return found

    def __getitem__(self, name: str) -> DriverFunction:
        return getattr(self, name)

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

    def _is_capturing(self, stream: Any, status: Any) -> None:
        queue = self._gpu.queue(_number(stream), "cuStreamIsCapturing")
        broken = 2 if queue.capture_broken else 1
        _put(status, 0 if queue.captured is None else broken)

    def _instantiate(self, executable: Any, graph: Any, flags: Any) -> None:
        _put(executable, self._new(self._held(graph), "graph executable"))

    def _upload(self, executable: Any, stream: Any) -> None:
        self._held(executable)

    def _launch(self, executable: Any, stream: Any) -> None:
        queue = self._gpu.queue(_number(stream), "cuGraphLaunch")
        for work in self._held(executable):
            queue.enqueue(work)

    def _destroy(self, graph: Any) -> None:
        self._held(graph)
        _, number = self._graphs.pop(_number(graph))
        self._gpu.ledger.close(number)

    def _error_name(self, code: Any, text: Any) -> None:
        _put(text, NAMES[_number(code)][0].encode())

    def _error_string(self, code: Any, text: Any) -> None:
        _put(text, NAMES[_number(code)][1].encode())

    def _set_primary_flags(self, device: Any, flags: Any) -> None:
        self._gpu.primary_flags = _number(flags)

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
