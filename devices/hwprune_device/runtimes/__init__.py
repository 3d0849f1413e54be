"""What runs networks on a board: one room a runtime, and what they share.

Importing this imports none of them. A runtime joins by its line in `registry.py` and its table of
options in `options.py`.
"""

from hwprune_device.runtimes.registry import (
    DENORMALS,
    UnknownRuntimeError,
    available,
    make_runtime,
    register,
)
from hwprune_device.runtimes.runtime import (
    BrokenProcessError,
    Compiling,
    DeviceTimed,
    EngineFile,
    Network,
    NoProfileError,
    Part,
    Profiled,
    Runtime,
    unheard,
)

__all__ = [
    "DENORMALS",
    "BrokenProcessError",
    "Compiling",
    "DeviceTimed",
    "EngineFile",
    "Network",
    "NoProfileError",
    "Part",
    "Profiled",
    "Runtime",
    "UnknownRuntimeError",
    "available",
    "make_runtime",
    "register",
    "unheard",
]
