"""Errors of the CUDA driver by number, in the driver's own words."""

from __future__ import annotations

INVALID_VALUE = 1
OUT_OF_MEMORY = 2
NOT_INITIALIZED = 3
NO_DEVICE = 100
INVALID_DEVICE = 101
INVALID_CONTEXT = 201
INVALID_HANDLE = 400
NOT_READY = 600
ILLEGAL_ADDRESS = 700
CAPTURE_UNSUPPORTED = 900
CAPTURE_INVALIDATED = 901
CAPTURED_EVENT = 907

WORDS = {
    INVALID_VALUE: "invalid argument",
    OUT_OF_MEMORY: "out of memory",
    NOT_INITIALIZED: "initialization error",
    NO_DEVICE: "no CUDA-capable device is detected",
    INVALID_DEVICE: "invalid device ordinal",
    INVALID_CONTEXT: "invalid device context",
    INVALID_HANDLE: "invalid resource handle",
    NOT_READY: "device not ready",
    ILLEGAL_ADDRESS: "an illegal memory access was encountered",
    CAPTURE_UNSUPPORTED: "operation not permitted when stream is capturing",
    CAPTURE_INVALIDATED: "operation failed due to a previous error during capture",
    CAPTURED_EVENT: "operation not permitted on an event last recorded in a capturing stream",
}


class CudaFault(Exception):
    """A driver call that did not return success.

    Args:
        routine: as the driver names it.
        code: one of the numbers above.
        said: more words, as pycuda adds some.
    """

    def __init__(self, routine: str, code: int, said: str = "") -> None:
        self.code = code
        words = f"{routine} failed: {WORDS[code]}"
        super().__init__(f"{words} - {said}" if said else words)
