"""pycuda's exceptions, and which of them a driver's error becomes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.fault import CudaFault

P = ParamSpec("P")
T = TypeVar("T")


class Error(Exception):
    """The root of pycuda's errors."""


class MemoryError(Error):
    """The device has no memory left."""


class LogicError(Error):
    """Wrong use, and most of what breaks a device."""


class RuntimeError(Error):
    """No device, or not ready yet."""


_KINDS: dict[int, type[Error]] = {
    fault.OUT_OF_MEMORY: MemoryError,
    fault.NO_DEVICE: RuntimeError,
    fault.NOT_READY: RuntimeError,
}


def translated(call: Callable[P, T]) -> Callable[P, T]:
    """Give the driver's errors as pycuda does (translate_cuda_error of its wrap_cudadrv.cpp)."""

    @functools.wraps(call)
    def calling(*given: P.args, **named: P.kwargs) -> T:
        try:
            return call(*given, **named)
        except CudaFault as error:
            raise _KINDS.get(error.code, LogicError)(str(error)) from None

    return calling
