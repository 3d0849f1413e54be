"""Options of TensorRT targets: what may be written, what is meant where nothing is written.

Standard library alone: the head refuses a wrong option with this before a board is reached. What
each option does stands in devices/runtimes.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwprune_device.runtimes.option_error import OptionError

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8")
DEFAULTS: Mapping[str, Any] = {
    "latency": "host",
    "spin": True,
    "cuda_graph": False,
    "workspace_mb": None,
    "builder_level": 3,
    "dla": None,
    "fallback": "allow",
    "calibration": "qdq",
    "builds": 1,
    "build_timeout_s": 1800,
}
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "latency": ("host", "device", "transfers"),
    "spin": (True, False),
    "cuda_graph": (True, False),
    "fallback": ("allow", "refuse"),
    "calibration": ("qdq", "entropy", "minmax"),
    "builder_level": (0, 1, 2, 3, 4, 5),
    "dla": (None, 0, 1),
}
_RANGES: Mapping[str, tuple[float, float]] = {
    "workspace_mb": (1, 10**6),
    "builds": (1, 20),
    "build_timeout_s": (1, 10**5),
}


def whole_options(options: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """Every option with its value.

    Raises:
        OptionError: an unknown option, a value that cannot be, or two that exclude each other.
    """
    return {**DEFAULTS, **normal_options(options, precision)}


def normal_options(options: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """The options that differ from the defaults, so that a default written out changes no key.

    Raises:
        OptionError: as `whole_options`.
    """
    if precision not in PRECISIONS:
        raise OptionError(
            "TensorRT has no such precision", given=precision, possible=", ".join(PRECISIONS)
        )
    for name, value in options.items():
        _check(name, value)
    _check_together({**DEFAULTS, **options}, precision)
    return {name: options[name] for name in sorted(options) if options[name] != DEFAULTS[name]}


def _check(name: str, value: Any) -> None:
    if name not in DEFAULTS:
        raise OptionError(f"unknown option '{name}'", given=name, possible=", ".join(DEFAULTS))
    if name in _RANGES:
        low, high = _RANGES[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = name != "builds" or isinstance(value, int)
        if not (number and whole and low <= value <= high):
            raise OptionError(
                f"option {name} cannot be this",
                given=repr(value),
                possible=f"a number from {low:g} to {high:g}",
            )
    # By type too: 1 is equal to True, and no one means it here.
    elif not any(value == choice and type(value) is type(choice) for choice in CHOICES[name]):
        raise OptionError(
            f"option {name} cannot be this", given=repr(value), possible=_words(CHOICES[name])
        )


def _check_together(whole: Mapping[str, Any], precision: str) -> None:
    if whole["dla"] is not None and precision not in ("fp16", "int8"):
        raise OptionError(
            "a DLA computes in fp16 and int8 alone",
            given=f"dla = {whole['dla']}, precision = {precision}",
            possible="precision fp16 or int8, or no dla",
        )
    if whole["dla"] is None and whole["fallback"] != DEFAULTS["fallback"]:
        raise OptionError(
            "option fallback is for networks on a DLA",
            given=f"fallback = {whole['fallback']!r} without dla",
            possible="dla = 0 or 1, or no fallback",
        )
    if whole["calibration"] != DEFAULTS["calibration"] and precision != "int8":
        raise OptionError(
            "option calibration is for int8",
            given=f"calibration = {whole['calibration']!r}, precision = {precision}",
            possible="precision int8, or no calibration",
        )


def _words(choices: tuple[Any, ...]) -> str:
    words = {None: "none", True: "true", False: "false"}
    return ", ".join(
        words.get(c, str(c)) if isinstance(c, bool | None) else str(c) for c in choices
    )
