"""The memory of a scripted GPU: addresses, bytes behind them, and how much is free."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_cuda.ledger import Ledger

_FIRST_ADDRESS = 0x7F00_0000_0000
_ALIGNMENT = 512


@dataclass(slots=True, kw_only=True)
class _Block:
    size: int
    context: int
    number: int
    """In the ledger."""
    data: bytearray | None
    """None for memory that is only counted, such as an engine's weights."""


class DeviceMemory:
    """Allocates, frees, and refuses addresses that are not allocated.

    Args:
        total_bytes: of the device.
        taken_bytes: held by others, or by the driver.
    """

    def __init__(self, total_bytes: int, taken_bytes: int, ledger: Ledger) -> None:
        self.total_bytes = total_bytes
        self.taken_bytes = taken_bytes
        self._ledger = ledger
        self._blocks: dict[int, _Block] = {}
        self._next = _FIRST_ADDRESS

    @property
    def free_bytes(self) -> int:
        """What can still be allocated."""
        used = sum(_rounded(block.size) for block in self._blocks.values())
        return self.total_bytes - self.taken_bytes - used

    def allocate(self, size: int, context: int, kind: str = "", *, touched: bool = True) -> int:
        """An address.

        Args:
            size: bytes.
            context: the CUDA context it belongs to.
            kind: for the ledger.
            touched: whether anybody reads or writes there.

        Raises:
            CudaFault: no bytes asked for, or more than are free.
        """
        if size <= 0:
            raise CudaFault("cuMemAlloc", fault.INVALID_VALUE)
        if _rounded(size) > self.free_bytes:
            raise CudaFault("cuMemAlloc", fault.OUT_OF_MEMORY)
        address, self._next = self._next, self._next + _rounded(size) + _ALIGNMENT
        number = self._ledger.open(kind or "device memory", context=context)
        data = bytearray(size) if touched else None
        self._blocks[address] = _Block(size=size, context=context, number=number, data=data)
        return address

    def free(self, address: int) -> None:
        """Give an allocation back.

        Raises:
            CudaFault: nothing is allocated at this address.
        """
        block = self._blocks.pop(address, None)
        if block is None:
            raise CudaFault("cuMemFree", fault.INVALID_VALUE)
        self._ledger.close(block.number)

    def holds(self, address: int) -> bool:
        """Whether an allocation starts there."""
        return address in self._blocks

    def view(self, address: int, size: int) -> memoryview:
        """The bytes at an address, to read and to write.

        Raises:
            CudaFault: they are not all inside of one allocation.
        """
        starts = sorted(self._blocks)
        at = bisect.bisect_right(starts, address) - 1
        block = self._blocks[starts[at]] if at >= 0 else None
        offset = address - starts[at] if block else 0
        if block is None or block.data is None or offset + size > block.size:
            raise CudaFault("kernel", fault.ILLEGAL_ADDRESS)
        return memoryview(block.data)[offset : offset + size]

    def forget(self, context: int) -> None:
        """A context is gone, and its memory with it."""
        gone = [address for address, block in self._blocks.items() if block.context == context]
        for address in gone:
            del self._blocks[address]


def _rounded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
