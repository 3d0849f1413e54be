"""Devices and contexts as pycuda gives them."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.errors import translated
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_cuda.gpu import ScriptedGpu

ATTRIBUTES = {
    "CLOCK_RATE": 13,
    "MULTIPROCESSOR_COUNT": 16,
    "INTEGRATED": 18,
    "PCI_BUS_ID": 33,
    "MEMORY_CLOCK_RATE": 36,
    "GLOBAL_MEMORY_BUS_WIDTH": 37,
    "L2_CACHE_SIZE": 38,
    "ASYNC_ENGINE_COUNT": 40,
    "UNIFIED_ADDRESSING": 41,
    "COMPUTE_CAPABILITY_MAJOR": 75,
    "COMPUTE_CAPABILITY_MINOR": 76,
}


class Device:
    """`pycuda.driver.Device`."""

    _gpu: ClassVar[ScriptedGpu]
    _contexts: ClassVar[type[Context]]

    @translated
    def __init__(self, ordinal: int) -> None:
        _started(self._gpu, "cuDeviceGet")
        if not 0 <= ordinal < self._gpu.facts.devices:
            raise CudaFault("cuDeviceGet", fault.INVALID_DEVICE)
        self._ordinal = ordinal

    @classmethod
    @translated
    def count(cls) -> int:
        """How many there are."""
        _started(cls._gpu, "cuDeviceGetCount")
        return cls._gpu.facts.devices

    def name(self) -> str:
        """The product's name."""
        return self._gpu.facts.name

    def pci_bus_id(self) -> str:
        """Domain, bus, device and function."""
        return self._gpu.facts.pci_bus_id

    def compute_capability(self) -> tuple[int, int]:
        """Major and minor."""
        return self._gpu.facts.capability

    def total_memory(self) -> int:
        """Bytes."""
        return self._gpu.facts.total_bytes

    def get_attribute(self, attribute: int) -> int:
        """One of `device_attribute`."""
        facts = self._gpu.facts
        known = {
            **dict(facts.attributes),
            "COMPUTE_CAPABILITY_MAJOR": facts.capability[0],
            "COMPUTE_CAPABILITY_MINOR": facts.capability[1],
            "UNIFIED_ADDRESSING": 1,
        }
        return next((known.get(name, 0) for name, at in ATTRIBUTES.items() if at == attribute), 0)

    @translated
    def retain_primary_context(self) -> Context:
        """The primary context; it is not made current."""
        self._gpu.check("cuDevicePrimaryCtxRetain")
        return self._contexts(self._gpu.retain_primary())

    @translated
    def make_context(self, flags: int = 0) -> Context:
        """A new context, which is made current."""
        self._gpu.check("cuCtxCreate")
        context = self._contexts(self._gpu.create_context())
        self._contexts._pushed(context)
        return context

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other._ordinal == self._ordinal

    def __hash__(self) -> int:
        return hash(self._ordinal)


class Context:
    """`pycuda.driver.Context`; each thread has a stack of them."""

    _gpu: ClassVar[ScriptedGpu]
    _stacks: ClassVar[threading.local]

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.alive = True
        self._thread = threading.get_ident()
        self._number = self._gpu.ledger.open("context")

    @translated
    def push(self) -> None:
        """Make it current in this thread."""
        self._gpu.check("cuCtxPushCurrent")
        if not self.alive:
            raise CudaFault("cuCtxPushCurrent", fault.INVALID_CONTEXT)
        self._pushed(self)

    @classmethod
    @translated
    def pop(cls) -> None:
        """Make the one before it current again."""
        if not cls._stack():
            said = "cannot pop non-current context"
            raise CudaFault("context::pop", fault.INVALID_CONTEXT, said)
        cls._stack().pop()
        cls._tell()

    @translated
    def detach(self) -> None:
        """Let go of it; what still lives in it is gone with its last holder.

        From another thread than its own, and where it is not current, nothing is let go.
        """
        if not self.alive:
            said = "cannot detach from invalid context"
            raise CudaFault("context::detach", fault.INVALID_CONTEXT, said)
        self.alive = False
        if self.can_be_entered():
            self._gpu.ledger.close(self._number)
            self._gpu.release_context(self.handle)
        self._tell()

    def can_be_entered(self) -> bool:
        """Whether this thread may clean up in it."""
        return self._thread == threading.get_ident() or self._stack()[-1:] == [self]

    @classmethod
    @translated
    def synchronize(cls) -> None:
        """Wait for everything on the device."""
        cls._gpu.current("cuCtxSynchronize")
        cls._gpu.synchronize("cuCtxSynchronize")

    @classmethod
    def get_current(cls) -> Context | None:
        """The current context of this thread."""
        cls._tell()
        return cls._stack()[-1] if cls._stack() else None

    @classmethod
    def get_device(cls) -> Any:
        """The device of the current context."""
        raise NotImplementedError(
            "the scripted pycuda has one device; Context.get_device is not in"
        )

    @classmethod
    def ward(cls) -> Context:
        """The current context, for what is going to live in it.

        Raises:
            CudaFault: this thread has none.
        """
        current = cls.get_current()
        if current is None:
            said = "no currently active context?"
            raise CudaFault("explicit_context_dependent", fault.INVALID_CONTEXT, said)
        return current

    @classmethod
    def _pushed(cls, context: Context) -> None:
        cls._stack().append(context)
        cls._tell()

    @classmethod
    def _stack(cls) -> list[Context]:
        if not hasattr(cls._stacks, "stack"):
            cls._stacks.stack = []
        stack: list[Context] = cls._stacks.stack
        return stack

    @classmethod
    def _tell(cls) -> None:
        """Drop dead contexts from the top and tell the GPU what is current."""
        while cls._stack() and not cls._stack()[-1].alive:
            cls._stack().pop()
        cls._gpu.stack[:] = [context.handle for context in cls._stack()]

    def __del__(self) -> None:
        if self.alive:
            self.detach()


def _started(gpu: ScriptedGpu, routine: str) -> None:
    if not gpu.initialised:
        raise CudaFault(routine, fault.NOT_INITIALIZED)
