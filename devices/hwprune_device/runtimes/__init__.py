"""What runs networks on a board: one room a runtime, and what they share.

Importing this imports none of them. A runtime is a room with `facts.py`; one of another package
joins by an entry point, see `registry.py`.
"""

from hwprune_device.runtimes.facts import RuntimeFacts
from hwprune_device.runtimes.registry import (
    UnknownRuntimeError,
    available,
    facts_of,
    known_facts,
    make_runtime,
    packages_to_look_for,
    register,
    runtime_names,
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
    ignore_progress,
)

__all__ = [
    "BrokenProcessError",
    "Compiling",
    "DeviceTimed",
    "EngineFile",
    "Network",
    "NoProfileError",
    "Part",
    "Profiled",
    "Runtime",
    "RuntimeFacts",
    "UnknownRuntimeError",
    "available",
    "facts_of",
    "ignore_progress",
    "known_facts",
    "make_runtime",
    "packages_to_look_for",
    "register",
    "runtime_names",
]
