"""A scripted GPU behind the faces that a runtime meets: pycuda.driver, the driver library."""

from tests.doubles.scripted_cuda.clock import RealClock, VirtualClock
from tests.doubles.scripted_cuda.driver import scripted_pycuda
from tests.doubles.scripted_cuda.gpu import GpuFacts, ScriptedGpu
from tests.doubles.scripted_cuda.library import scripted_driver_library

__all__ = [
    "GpuFacts",
    "RealClock",
    "ScriptedGpu",
    "VirtualClock",
    "scripted_driver_library",
    "scripted_pycuda",
]
