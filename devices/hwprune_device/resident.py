"""Resident memory of this process: how far it grew at most while something was done."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class PeakWatch:
    """Between entering and `grown_mb`, the growth of the peak of resident memory.

    The kernel's high-water mark is set back first, else an earlier, larger network would hide a
    later one. Coarse: library pages and what the allocator keeps are in it.
    """

    def __init__(self) -> None:
        self._start_kb: int | None = None

    def __enter__(self) -> PeakWatch:
        try:
            # 5 sets the high-water mark back (proc(5), clear_refs).
            _CLEAR.write_text("5")
        except OSError:
            return self
        self._start_kb = _field_kb("VmRSS")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._start_kb = None

    def grown_mb(self) -> float | None:
        """MB of growth at the peak so far; None where the kernel reports none."""
        peak_kb = _field_kb("VmHWM")
        if self._start_kb is None or peak_kb is None or peak_kb <= self._start_kb:
            return None
        # The kernel writes kB and means KiB.
        return (peak_kb - self._start_kb) * 1024 / 1e6


def _field_kb(name: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    values = [line.split()[1] for line in lines if line.startswith(name + ":")]
    return int(values[0]) if values else None


def address_space_bytes() -> int | None:
    """Virtual size of this process; None where the kernel does not report it."""
    size_kb = _field_kb("VmSize")
    return None if size_kb is None else size_kb * 1024
