"""Options of the trtexec runtime: those of TensorRT that the program has, and some of its own."""

from __future__ import annotations

from typing import Any

from hwprune_device.runtimes.option_error import OptionError
from hwprune_device.runtimes.option_table import OptionTable, Range
from hwprune_device.runtimes.trt.options import TRT, exclude

_LATENCIES = ("device", "transfers")
_NOT_OF_THE_PROGRAM = ("calibration", "builds")


def _latency(value: Any) -> str:
    if value not in _LATENCIES:
        raise OptionError(
            "trtexec queues one inference behind the other, so it does not tell what a caller "
            "would wait for one",
            given=f"latency = {value!r}",
            possible=", ".join(_LATENCIES),
        )
    return str(value)


TRTEXEC = OptionTable(
    runtime="trtexec",
    precisions=TRT.precisions,
    defaults={
        **{n: value for n, value in TRT.defaults.items() if n not in _NOT_OF_THE_PROGRAM},
        "latency": "device",
        "iterations": 50,
        "warmup_ms": 200,
    },
    choices=TRT.choices,
    ranges={
        **TRT.ranges,
        "iterations": Range(low=1, high=10**5, whole=True),
        "warmup_ms": Range(low=0, high=10**5, whole=True),
    },
    readers={"latency": _latency},
    exclude=exclude,
)
