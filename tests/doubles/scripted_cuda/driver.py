"""A stand-in for the module `pycuda.driver` (read at 2026.1) over a scripted GPU."""

from __future__ import annotations

import threading
import types

from tests.doubles.scripted_cuda import errors, fault
from tests.doubles.scripted_cuda.buffers import Buffers
from tests.doubles.scripted_cuda.contexts import Context, Device
from tests.doubles.scripted_cuda.errors import translated
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_cuda.gpu import ScriptedGpu
from tests.doubles.scripted_cuda.streams import Event, Stream

_FUNCTIONS = (
    "mem_get_info",
    "mem_alloc",
    "pagelocked_empty",
    "memcpy_htod_async",
    "memcpy_dtoh",
    "memcpy_dtoh_async",
)


def scripted_pycuda(gpu: ScriptedGpu) -> types.ModuleType:
    """What `import pycuda.driver` would give, where this were the GPU.

    A name that it lacks is one that the simulator does not have, or that pycuda does not.
    """
    module = types.ModuleType("pycuda.driver", "a scripted pycuda")
    context = type("Context", (Context,), {"_gpu": gpu, "_stacks": threading.local()})
    bound = {"_gpu": gpu, "_contexts": context}
    buffers = Buffers(gpu, context)
    names = {
        "Context": context,
        "Device": type("Device", (Device,), bound),
        "Stream": type("Stream", (Stream,), bound),
        "Event": type("Event", (Event,), bound),
        "Error": errors.Error,
        "MemoryError": errors.MemoryError,
        "LogicError": errors.LogicError,
        "RuntimeError": errors.RuntimeError,
        "get_driver_version": lambda: gpu.facts.driver_version,
        **{name: getattr(buffers, name) for name in _FUNCTIONS},
    }

    @translated
    def init(flags: int = 0) -> None:
        if not gpu.facts.devices:
            raise CudaFault("cuInit", fault.NO_DEVICE)
        gpu.initialised = True

    module.__dict__.update(names, init=init)
    return module
