"""Options of a target by runtime. Standard library alone, as `option_table.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwprune_device.runtimes.onnxrt.options import ONNXRT
from hwprune_device.runtimes.option_table import OptionTable
from hwprune_device.runtimes.torchrt.options import TORCH
from hwprune_device.runtimes.trt.options import TRT

TABLES: Mapping[str, OptionTable] = {table.runtime: table for table in (ONNXRT, TRT, TORCH)}
"""Of every runtime that a board's profile may name."""
GPU_RUNTIMES = ("trt", "torch")
"""Runtimes that have a clock of the device beside the host's."""


def normal_options(
    runtime: str, options: Mapping[str, Any], threads: int, precision: str = "fp32"
) -> dict[str, Any]:
    """The options that differ from the defaults, each in its one spelling.

    Options of runtimes that are not known here are given back as they are.

    Raises:
        OptionError: as `OptionTable.normal`.
    """
    table = TABLES.get(runtime)
    if table is None:
        return dict(options)
    return table.normal(options, threads=threads, precision=precision)
