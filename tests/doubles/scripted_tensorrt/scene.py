"""What all objects of one scripted TensorRT share."""

from __future__ import annotations

import random
import sys
import weakref
from typing import Any

from tests.doubles.scripted_cuda import ScriptedGpu
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_tensorrt import words
from tests.doubles.scripted_tensorrt.faces import face_over
from tests.doubles.scripted_tensorrt.script import Script
from tests.doubles.tensorrt_surface import Surface


class Scene:
    """One library in one process.

    Args:
        surface: the release.
        script: what shall happen.
        gpu: where.
    """

    def __init__(self, surface: Surface, script: Script, gpu: ScriptedGpu) -> None:
        self.surface, self.script, self.gpu = surface, script, gpu
        self.classes: dict[str, Any] = {}
        self.random = random.Random(script.seed)
        self.builds = 0
        """How many engines were asked for."""
        self.runs = 0
        """How many inferences were asked for."""

    def face(self, name: str, does: Any) -> Any:
        """An object of a recorded class, entered into the ledger."""
        made = face_over(self.classes[name], does)
        self.watch(made, name, does)
        return made

    def plain(self, name: str, does: Any) -> Any:
        """An object of a recorded class that belongs to another one, such as a layer."""
        return face_over(self.classes[name], does)

    def watch(self, face: Any, name: str, does: Any, context: int = 0) -> None:
        """Enter an object into the ledger until nothing refers to it; then `release` is called."""
        does.seen_as = weakref.ref(face)
        ledger, number = self.gpu.ledger, self.gpu.ledger.open(name, context=context)

        def freed() -> None:
            ledger.close(number)
            if hasattr(does, "release"):
                does.release()

        weakref.finalize(face, freed).atexit = False

    def member(self, owner: str, name: str) -> Any:
        """A member of an enum."""
        return self.classes[owner][name]

    def has_member(self, owner: str, name: str) -> bool:
        """Whether this release has it."""
        return owner in self.classes and name in self.classes[owner].__members__

    def say(self, logger: Any, severity: str, text: str) -> None:
        """Log; what a logger raises is printed and has no effect, as in the bindings."""
        self.call_back(logger, "log", self.member("ILogger.Severity", severity), text)

    def call_back(self, face: Any, name: str, *given: Any) -> Any:
        """A method that a user wrote; None where it raised."""
        try:
            return getattr(face, name)(*given)
        except Exception as error:
            print(f"[ERROR] Exception caught in {name}(): {error}", file=sys.stderr)
            return None

    def allocate(self, size: int, kind: str, logger: Any, where: str) -> int | None:
        """Memory of the device; None, and said so, where there is not so much."""
        try:
            context = self.gpu.runtime_context()
            return self.gpu.memory.allocate(max(1, size), context, kind, touched=False)
        except CudaFault:
            self.say(logger, "ERROR", words.ALLOCATION)
            self.say(logger, "WARNING", words.REQUESTED.format(size=size))
            self.say(logger, "ERROR", words.NO_ROOM.format(where=where, size=size))
            return None

    def give_back(self, address: int | None) -> None:
        """Free memory that an object held, unless its context took it along."""
        if address is not None and self.gpu.memory.holds(address):
            self.gpu.memory.free(address)


def kept(does: Any) -> Any:
    """The face of an object, for another one that keeps it alive as the bindings do."""
    return does.seen_as() if hasattr(does, "seen_as") else None
