"""Options of the TensorRT runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwprune_device.range import Range
from hwprune_device.runtimes.option_error import OptionError
from hwprune_device.runtimes.option_table import OptionTable


def _exclude(whole: Mapping[str, Any], threads: int, precision: str) -> None:
    if whole["dla"] is not None and precision not in ("fp16", "int8"):
        raise OptionError(
            "a DLA computes in fp16 and int8 alone",
            given=f"dla = {whole['dla']}, precision = {precision}",
            possible="precision fp16 or int8, or no dla",
        )
    # It would do nothing, and give a reading another key all the same.
    if whole["dla"] is None and whole["fallback"] != TRT.defaults["fallback"]:
        raise OptionError(
            "option fallback is for networks on a DLA",
            given=f"fallback = {whole['fallback']!r} without dla",
            possible="dla = 0 or 1, or no fallback",
        )
    if whole["calibration"] != TRT.defaults["calibration"] and precision != "int8":
        raise OptionError(
            "option calibration is for int8",
            given=f"calibration = {whole['calibration']!r}, precision = {precision}",
            possible="precision int8, or no calibration",
        )


TRT = OptionTable(
    runtime="trt",
    precisions=("fp32", "tf32", "fp16", "bf16", "int8"),
    defaults={
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
    },
    choices={
        "latency": ("host", "device", "transfers"),
        "spin": (True, False),
        "cuda_graph": (True, False),
        "fallback": ("allow", "refuse"),
        "calibration": ("qdq", "entropy", "minmax"),
        "builder_level": (0, 1, 2, 3, 4, 5),
        "dla": (None, 0, 1),
    },
    ranges={
        "workspace_mb": Range(low=1, high=10**6),
        "builds": Range(low=1, high=20, whole=True),
        "build_timeout_s": Range(low=1, high=10**5),
    },
    exclude=_exclude,
)
