"""Options of trtexec targets: those of TensorRT that the program has, and two of its own.

Standard library alone, as `options.py`, which asks here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwprune_device.runtimes import trt_options
from hwprune_device.runtimes.option_error import OptionError

_SHARED = (
    "spin",
    "cuda_graph",
    "workspace_mb",
    "builder_level",
    "dla",
    "fallback",
    "build_timeout_s",
)
DEFAULTS: Mapping[str, Any] = {
    **{name: trt_options.DEFAULTS[name] for name in _SHARED},
    "latency": "device",
    "iterations": 50,
    "warmup_ms": 200,
}
"""For what they do see devices/runtimes.md."""
_LATENCIES = ("device", "transfers")
_RANGES: Mapping[str, tuple[int, int]] = {"iterations": (1, 10**5), "warmup_ms": (0, 10**5)}


def whole_options(options: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """Every option with its value.

    Raises:
        OptionError: an unknown option, a value that cannot be, or two that exclude each other.
    """
    return {**DEFAULTS, **normal_options(options, precision)}


def normal_options(options: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """The options that differ from the defaults.

    Raises:
        OptionError: as `whole_options`.
    """
    for name, value in options.items():
        _check(name, value)
    shared = {name: value for name, value in options.items() if name in _SHARED}
    kept = trt_options.normal_options(shared, precision)
    own = {n: v for n, v in options.items() if n not in _SHARED and v != DEFAULTS[n]}
    return dict(sorted({**kept, **own}.items()))


def _check(name: str, value: Any) -> None:
    """Of the options that TensorRT's other runtime does not have, or has otherwise."""
    if name not in DEFAULTS:
        raise OptionError(f"unknown option '{name}'", given=name, possible=", ".join(DEFAULTS))
    if name == "latency" and value not in _LATENCIES:
        raise OptionError(
            "trtexec queues one inference behind the other, so it does not tell what a caller "
            "would wait for one",
            given=f"latency = {value!r}",
            possible=", ".join(_LATENCIES),
        )
    if name in _RANGES:
        low, high = _RANGES[name]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise OptionError(
                f"option {name} cannot be this",
                given=repr(value),
                possible=f"a whole number from {low} to {high}",
            )
