"""TensorRT for RTX: laptops and workstations with a GPU of the RTX series.

Its API is that of TensorRT 11. Kernels are chosen on the GPU when an engine is first run, which
`weigh` does before anything is timed.
"""

from __future__ import annotations

from hwprune_device.runtimes.trt.runtime import TrtRuntime
from hwprune_device.runtimes.trt_rtx.options import TRT_RTX


class TrtRtxRuntime(TrtRuntime):
    """Builds engines of TensorRT for RTX and runs them on the first GPU."""

    table = TRT_RTX
    rtx = True
