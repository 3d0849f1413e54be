"""A stand-in for the module `pycuda.driver` (read at 2026.1) over a scripted GPU."""

from __future__ import annotations

import threading
import types
from enum import IntFlag

from tests.doubles.scripted_cuda import errors, fault
from tests.doubles.scripted_cuda.buffers import Buffers
from tests.doubles.scripted_cuda.contexts import ATTRIBUTES, Context, Device
from tests.doubles.scripted_cuda.errors import translated
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_cuda.gpu import ScriptedGpu
from tests.doubles.scripted_cuda.streams import Event, Stream

CONTEXT_FLAGS = {
    "SCHED_AUTO": 0,
    "SCHED_SPIN": 1,
    "SCHED_YIELD": 2,
    "BLOCKING_SYNC": 4,
    "SCHED_BLOCKING_SYNC": 4,
    "SCHED_MASK": 7,
    "MAP_HOST": 8,
    "LMEM_RESIZE_TO_MAX": 16,
}
EVENT_FLAGS = {"DEFAULT": 0, "BLOCKING_SYNC": 1, "DISABLE_TIMING": 2, "INTERPROCESS": 4}
HOST_FLAGS = {"PORTABLE": 1, "DEVICEMAP": 2, "WRITECOMBINED": 4}
_FUNCTIONS = (
    "mem_get_info",
    "mem_alloc",
    "pagelocked_empty",
    "memcpy_htod",
    "memcpy_htod_async",
    "memcpy_dtoh",
    "memcpy_dtoh_async",
    "memcpy_dtod_async",
    "memset_d8_async",
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
        "ctx_flags": IntFlag("ctx_flags", CONTEXT_FLAGS),
        "event_flags": IntFlag("event_flags", EVENT_FLAGS),
        "host_alloc_flags": IntFlag("host_alloc_flags", HOST_FLAGS),
        "device_attribute": IntFlag("device_attribute", ATTRIBUTES),
        "Error": errors.Error,
        "MemoryError": errors.MemoryError,
        "LogicError": errors.LogicError,
        "LaunchError": errors.LaunchError,
        "RuntimeError": errors.RuntimeError,
        "get_version": lambda: gpu.facts.cuda_version,
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
