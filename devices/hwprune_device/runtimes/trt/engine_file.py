"""An engine as a file to be taken away, and what must be known to use it."""

from __future__ import annotations

from typing import Any

from hwprune_device.job import Target
from hwprune_device.runtimes import EngineFile
from hwprune_device.runtimes.cuda import Cuda
from hwprune_device.runtimes.trt.engine import IOTensor
from hwprune_device.runtimes.trt.network import TrtNetwork
from hwprune_device.runtimes.trt.tensorrt import TensorRT


def engine_file(
    network: TrtNetwork, cuda: Cuda, *, library: TensorRT, target: Target
) -> EngineFile:
    """The engine of a network that is ready to run; it runs some times to be timed."""
    build = network.build
    return EngineFile(
        files={"engine": build.engine},
        facts={
            # An engine is good for exactly this device and version.
            "made_for": f"{cuda.name} and {library.title} alone",
            "gpu": cuda.name,
            "compute_capability": cuda.capability,
            "cuda_driver": cuda.driver_version,
            "tensorrt": library.version,
            "precision": target.precision,
            "batch": target.batch,
            "dla": target.options.get("dla"),
            "inputs": [_told(tensor) for tensor in network.tensors if tensor.is_input],
            "outputs": [_told(tensor) for tensor in network.tensors if not tensor.is_input],
            "device_ms": network.typical_ms(),
            "build": build.story(),
        },
    )


def _told(tensor: IOTensor) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(tensor.shape), "type": str(tensor.dtype)}
