"""The energy counter of an NVIDIA GPU, through the driver's own library; no package is needed."""

from __future__ import annotations

import ctypes
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_OK = 0
_SEVERAL = (
    "the energy of the GPU cannot be told: there are {count}, and not which of them computes"
)


class NvmlCounter:
    """Millijoules that a GPU's board has used since its driver was loaded."""

    source = "NVML, total of the GPU's board without the host: idle power and other work included"

    def __init__(self, library: Any, device: ctypes.c_void_p) -> None:
        self._library = library
        self._device = device
        self._start_mj = 0

    def start(self) -> None:
        """Take the counter as it is for 0."""
        self._start_mj = self._read()

    def total_mj(self) -> float:
        """Millijoules since `start`."""
        return float(self._read() - self._start_mj)

    def stop(self) -> None:
        """Nothing to do."""

    def _read(self) -> int:
        value = ctypes.c_ulonglong()
        code = self._library.nvmlDeviceGetTotalEnergyConsumption(self._device, ctypes.byref(value))
        if code != _OK:
            raise OSError(f"NVML does not tell the GPU's energy: code {code}")
        return int(value.value)


def find_gpu() -> NvmlCounter | str:
    """The counter of the only GPU; where there is none, or none to be sure of, why in words.

    Called in the child that measures: the parent must not touch a driver before it forks.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return f"the energy of the GPU cannot be told: there is no {_LIBRARY}"
    count, device = ctypes.c_uint(), ctypes.c_void_p()
    if library.nvmlInit_v2() != _OK or library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != _OK:
        return "the energy of the GPU cannot be told: NVML does not start"
    if count.value != 1:
        # CUDA and NVML number GPUs differently.
        return _SEVERAL.format(count=count.value)
    if library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(0), ctypes.byref(device)) != _OK:
        return "the energy of the GPU cannot be told: NVML does not give the GPU"
    counter = NvmlCounter(library, device)
    try:
        counter.start()
    except (OSError, AttributeError):
        return "the energy of the GPU cannot be told: this GPU has no energy counter"
    return counter
