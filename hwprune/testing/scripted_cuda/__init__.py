"""A scripted GPU behind the faces that a runtime meets: pycuda.driver, the driver library."""

from hwprune.testing.scripted_cuda.clock import RealClock, VirtualClock
from hwprune.testing.scripted_cuda.driver import scripted_pycuda
from hwprune.testing.scripted_cuda.gpu import GpuFacts, ScriptedGpu
from hwprune.testing.scripted_cuda.library import ScriptedDriverLibrary, scripted_driver_library

__all__ = [
    "GpuFacts",
    "RealClock",
    "ScriptedDriverLibrary",
    "ScriptedGpu",
    "VirtualClock",
    "scripted_driver_library",
    "scripted_pycuda",
]
