"""Devices and contexts as pycuda gives them."""

from __future__ import annotations

import threading
from typing import ClassVar

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.errors import translated
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_cuda.gpu import ScriptedGpu


class Device:
    """`pycuda.driver.Device`."""

    _gpu: ClassVar[ScriptedGpu]
    _contexts: ClassVar[type[Context]]

    @translated
    def __init__(self, ordinal: int) -> None:
        if not self._gpu.initialised:
            raise CudaFault("cuDeviceGet", fault.NOT_INITIALIZED)
        if not 0 <= ordinal < self._gpu.facts.devices:
            raise CudaFault("cuDeviceGet", fault.INVALID_DEVICE)

    def name(self) -> str:
        """The product's name."""
        return self._gpu.facts.name

    def compute_capability(self) -> tuple[int, int]:
        """Major and minor."""
        return self._gpu.facts.capability

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
