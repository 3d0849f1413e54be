"""Options of the ncnn runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwprune_device.runtimes.option_error import OptionError
from hwprune_device.runtimes.option_table import OptionTable


def _exclude(whole: Mapping[str, Any], threads: int, precision: str) -> None:
    if not whole["fp16_arithmetic"] and precision != "fp16":
        raise OptionError(
            "option fp16_arithmetic is for precision fp16",
            given=f"fp16_arithmetic = false, precision = {precision}",
            possible="precision = fp16, or no fp16_arithmetic",
        )


NCNN = OptionTable(
    runtime="ncnn",
    precisions=("fp32", "fp16", "bf16"),
    defaults={"packing": True, "winograd": True, "sgemm": True, "fp16_arithmetic": True},
    choices={
        "packing": (True, False),
        "winograd": (True, False),
        "sgemm": (True, False),
        "fp16_arithmetic": (True, False),
    },
    exclude=_exclude,
)
