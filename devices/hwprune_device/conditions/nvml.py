"""NVML, the management library of NVIDIA's driver: a GPU's own state; no package is needed.

Used in a child that measures, or in one that is forked to ask: the parent must not touch a driver
before it forks. There is no NVML for a Jetson's GPU; see `tegra.py`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_OK = 0
# NVML_DEVICE_UUID_V2_BUFFER_SIZE, the longest of the texts that are read here.
_TEXT = 96
_SM, _MEMORY = 1, 2
"""Clocks by their number in nvml.h."""
# NVML_TEMPERATURE_THRESHOLD_SLOWDOWN.
_SLOWDOWN = 1
_POLICIES = {"power": 0, "heat": 1, "board limit": 3, "reliability": 5}
"""What may hold a clock down, by its number as a "performance policy" in nvml.h."""
_MOST_PROCESSES = 64
_SEVERAL = "there are {count}, and not which of them computes"


class _Violation(ctypes.Structure):
    _fields_ = (("reference_us", ctypes.c_ulonglong), ("violation_ns", ctypes.c_ulonglong))


class _Memory(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_ulonglong) for name in ("total", "free", "used"))


class _Process(ctypes.Structure):
    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used_bytes", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


class Gpu:
    """One GPU as its driver reports it; None for what it does not report."""

    def __init__(self, library: Any, device: ctypes.c_void_p) -> None:
        self._library = library
        self._device = device

    @property
    def name(self) -> str | None:
        """Its product name, such as "NVIDIA H100 80GB HBM3"."""
        return self._text("nvmlDeviceGetName")

    @property
    def uuid(self) -> str | None:
        """Its identifier among all GPUs, such as "GPU-8f6d…"."""
        return self._text("nvmlDeviceGetUUID")

    @property
    def driver(self) -> str | None:
        """Version of the driver."""
        buffer = ctypes.create_string_buffer(_TEXT)
        told = self._call("nvmlSystemGetDriverVersion", buffer, ctypes.c_uint(_TEXT))
        return buffer.value.decode(errors="replace") if told else None

    @property
    def cuda(self) -> str | None:
        """The newest CUDA that the driver can run, such as "13.0"."""
        version = ctypes.c_int()
        if not self._call("nvmlSystemGetCudaDriverVersion_v2", ctypes.byref(version)):
            return None
        # 13000 stands for 13.0.
        return f"{version.value // 1000}.{version.value % 1000 // 10}"

    @property
    def compute_capability(self) -> str | None:
        """Its generation, such as "9.0"."""
        major, minor = ctypes.c_int(), ctypes.c_int()
        told = self._ask(
            "nvmlDeviceGetCudaComputeCapability", ctypes.byref(major), ctypes.byref(minor)
        )
        return f"{major.value}.{minor.value}" if told else None

    @property
    def memory_mb(self) -> float | None:
        """All of its memory, in MB of 10**6."""
        memory = _Memory()
        told = self._ask("nvmlDeviceGetMemoryInfo", ctypes.byref(memory))
        return memory.total / 1e6 if told else None

    @property
    def sm_mhz(self) -> int | None:
        """Clock of what computes."""
        return self._number("nvmlDeviceGetClockInfo", _SM)

    @property
    def highest_sm_mhz(self) -> int | None:
        """The highest that clock can be."""
        return self._number("nvmlDeviceGetMaxClockInfo", _SM)

    @property
    def memory_mhz(self) -> int | None:
        """Clock of its memory."""
        return self._number("nvmlDeviceGetClockInfo", _MEMORY)

    @property
    def temperature_c(self) -> int | None:
        """Temperature of the chip."""
        return self._number("nvmlDeviceGetTemperature", 0)

    @property
    def slowdown_c(self) -> int | None:
        """From here on it slows itself down."""
        return self._number("nvmlDeviceGetTemperatureThreshold", _SLOWDOWN)

    @property
    def power_w(self) -> float | None:
        """What it takes now."""
        return _watts(self._number("nvmlDeviceGetPowerUsage"))

    @property
    def power_limit_w(self) -> float | None:
        """What it may take, as limited now."""
        return _watts(self._number("nvmlDeviceGetEnforcedPowerLimit"))

    @property
    def persistence(self) -> bool | None:
        """Whether the driver stays ready while nobody uses it."""
        mode = self._number("nvmlDeviceGetPersistenceMode")
        return None if mode is None else bool(mode)

    @property
    def clock_reasons(self) -> int | None:
        """Bits of what holds the clock where it is; see `gpu.py`."""
        bits = ctypes.c_ulonglong()
        # Its name until driver 535, which later ones know too.
        for name in ("ClocksEventReasons", "ClocksThrottleReasons"):
            if self._ask(f"nvmlDeviceGetCurrent{name}", ctypes.byref(bits)):
                return int(bits.value)
        return None

    @property
    def held_down_ms(self) -> dict[str, float]:
        """How long its clock was held down since the driver was loaded, by what held it."""
        found = {}
        for words, policy in _POLICIES.items():
            time = _Violation()
            kind = ctypes.c_uint(policy)
            if self._ask("nvmlDeviceGetViolationStatus", kind, ctypes.byref(time)):
                found[words] = time.violation_ns / 1e6
        return found

    @property
    def process_ids(self) -> tuple[int, ...] | None:
        """Processes that compute on it, as this system or the one around it numbers them."""
        count, rows = ctypes.c_uint(_MOST_PROCESSES), (_Process * _MOST_PROCESSES)()
        # The same table in both; older drivers lack the newer name.
        for version in ("_v3", "_v2"):
            name = f"nvmlDeviceGetComputeRunningProcesses{version}"
            if self._ask(name, ctypes.byref(count), rows):
                return tuple(row.pid for row in rows[: count.value])
        return None

    @property
    def energy_mj(self) -> int | None:
        """Millijoules used since the driver was loaded."""
        value = ctypes.c_ulonglong()
        told = self._ask("nvmlDeviceGetTotalEnergyConsumption", ctypes.byref(value))
        return int(value.value) if told else None

    def _number(self, name: str, *kinds: int) -> int | None:
        value = ctypes.c_uint()
        told = self._ask(name, *(ctypes.c_uint(kind) for kind in kinds), ctypes.byref(value))
        return int(value.value) if told else None

    def _text(self, name: str) -> str | None:
        buffer = ctypes.create_string_buffer(_TEXT)
        told = self._ask(name, buffer, ctypes.c_uint(_TEXT))
        return buffer.value.decode(errors="replace") if told else None

    def _ask(self, name: str, *arguments: Any) -> bool:
        return self._call(name, self._device, *arguments)

    def _call(self, name: str, *arguments: Any) -> bool:
        """Whether a function of the library is there and did what it is for."""
        try:
            function = getattr(self._library, name)
        except AttributeError:
            return False
        return bool(function(*arguments) == _OK)


class NvmlCounter:
    """Millijoules that a GPU's board has used since its driver was loaded."""

    source = "NVML, total of the GPU's board without the host: idle power and other work included"

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
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
        energy_mj = self._gpu.energy_mj
        if energy_mj is None:
            raise OSError("NVML does not tell the GPU's energy")
        return energy_mj


def open_gpus() -> list[Gpu] | str:
    """Return every GPU of this machine in the order of their buses, or why there is none."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return f"there is no {_LIBRARY}"
    count = ctypes.c_uint()
    try:
        started = library.nvmlInit_v2() == _OK
        if not started or library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != _OK:
            return "NVML does not start"
        devices = [ctypes.c_void_p() for _ in range(count.value)]
        for index, device in enumerate(devices):
            handle = ctypes.byref(device)
            if library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), handle) != _OK:
                return "NVML does not give the GPU"
    except AttributeError as error:
        return f"{_LIBRARY} is not NVML: {error}"
    return [Gpu(library, device) for device in devices]


def open_gpu() -> Gpu | str:
    """Return the GPU that CUDA calls its first, or why that is not sure or there is none."""
    gpus = open_gpus()
    if isinstance(gpus, str) or len(gpus) == 1:
        return gpus if isinstance(gpus, str) else gpus[0]
    if not gpus:
        return "there is none"
    return _first_of_cuda(gpus) or _SEVERAL.format(count=len(gpus))


def find_gpu() -> NvmlCounter | str:
    """Return the energy counter of the GPU that computes, or why there is none."""
    gpu = open_gpu()
    if isinstance(gpu, str):
        return f"the energy of the GPU cannot be told: {gpu}"
    if gpu.energy_mj is None:
        return "the energy of the GPU cannot be told: this GPU has no energy counter"
    return NvmlCounter(gpu)


def _first_of_cuda(gpus: Sequence[Gpu]) -> Gpu | None:
    """Return CUDA's first; it numbers by speed unless set to go by buses, as NVML does."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip()
    if first.startswith("GPU-"):
        return next((gpu for gpu in gpus if (gpu.uuid or "").startswith(first)), None)
    if os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" or not first.isdigit():
        return None
    return gpus[int(first)] if int(first) < len(gpus) else None


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1e3
