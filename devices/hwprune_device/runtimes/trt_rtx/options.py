"""Options of the runtime of TensorRT for RTX: those of TensorRT that it has too."""

from __future__ import annotations

from hwprune_device.runtimes.option_table import OptionTable
from hwprune_device.runtimes.trt.options import TRT

_OWN = ("latency", "spin", "cuda_graph", "workspace_mb", "builds", "build_timeout_s")
"""It times no kernels while it builds, has no DLA, and takes ranges of int8 from the graph."""

TRT_RTX = OptionTable(
    runtime="trt_rtx",
    precisions=TRT.precisions,
    defaults={name: TRT.defaults[name] for name in _OWN} | {"build_timeout_s": 600},
    choices={name: TRT.choices[name] for name in _OWN if name in TRT.choices},
    ranges={name: TRT.ranges[name] for name in _OWN if name in TRT.ranges},
)
