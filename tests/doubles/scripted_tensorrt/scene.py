"""What all objects of one scripted TensorRT share."""

from __future__ import annotations

import random
import sys
import weakref
from typing import Any

from tests.doubles.scripted_cuda import ScriptedGpu
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_tensorrt.names import ILogger, Severity
from tests.doubles.scripted_tensorrt.script import Script


class Scene:
    """One library in one process.

    Args:
        version: of the release.
        script: what shall happen.
        gpu: where.
    """

    def __init__(self, version: str, script: Script, gpu: ScriptedGpu) -> None:
        self.script, self.gpu = script, gpu
        self.generation = int(version.split(".")[0])
        self.home = f"TensorRT {version} on {gpu.facts.name}, compute {gpu.facts.capability}"
        """Engines and times of kernels are good for this release and device alone."""
        self.random = random.Random(0)
        self.builds = 0
        """How many engines were asked for."""
        self.runs = 0
        """How many inferences were asked for."""

    def watch(self, thing: object, *, context: int = 0, address: int = 0) -> None:
        """Enter an object into the ledger until nothing refers to it; then its memory is freed."""
        number = self.gpu.ledger.open(type(thing).__name__, context=context)
        weakref.finalize(thing, self._freed, number, address).atexit = False

    def _freed(self, number: int, address: int) -> None:
        self.gpu.ledger.close(number)
        self.give_back(address)

    def allocate(self, size: int, kind: str, logger: Any) -> int | None:
        """Memory of the device, 0 for no bytes; None, and said so, where there is not so much."""
        if not size:
            return 0
        try:
            context = self.gpu.runtime_context()
            return self.gpu.memory.allocate(size, context, kind, touched=False)
        except CudaFault as error:
            self.error(logger, f"defaultAllocator: Cuda Runtime ({error}; {size} bytes)")
            return None

    def give_back(self, address: int) -> None:
        """Free memory, where there is any: a context that went took it along."""
        if self.gpu.memory.holds(address):
            self.gpu.memory.free(address)

    def error(self, logger: Any, text: str) -> None:
        """Log an error."""
        self.say(logger, ILogger.ERROR, text)

    def say(self, logger: Any, severity: Severity, text: str) -> None:
        """Log."""
        self.call_back(logger, "log", severity, text)

    def call_back(self, user: Any, name: str, *given: Any) -> Any:
        """A method that a user wrote; None where it raised, which the bindings print as well."""
        try:
            return getattr(user, name)(*given)
        except Exception as error:
            print(f"[ERROR] Exception caught in {name}(): {error}", file=sys.stderr)
            return None
