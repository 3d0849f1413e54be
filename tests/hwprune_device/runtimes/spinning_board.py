"""A board whose engines are kernels of known time: everything but TensorRT's builder is real.

A network of first width w keeps the GPU busy for w / 8 ms, whatever its layers. Run as a module;
takes the supervisor's own arguments. Needs an NVIDIA GPU, pycuda and nvcc.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from hwprune_device.__main__ import main
from hwprune_device.estimate import Clock
from hwprune_device.job import Target
from hwprune_device.runtimes import facts_of, register
from hwprune_device.runtimes.cuda import Cuda
from hwprune_device.runtimes.trt.builder import Build
from hwprune_device.runtimes.trt.engine import IOTensor
from hwprune_device.runtimes.trt.network import TrtNetwork
from hwprune_device.runtimes.trt.options import TRT
from tests.hwprune_device.measurement.troubled_board import first_width

BREAKS, FULL = 15, 14
"""First widths of a network that reads where nothing is, and of one that fits no GPU."""
SOURCE = """
extern "C" __global__ void spin(unsigned long long ns, float *out) {
    unsigned long long start, now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
    do {
        asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    } while (now - start < ns);
    if (out) out[0] = (float) ns;
}
"""


def spin_ms(width: int) -> float:
    """How long a network of this first width takes."""
    return width / 8


class SpinningEngine:
    """Has the face of `trt.engine.Engine` and of its context."""

    activations_mb = 1.0

    def __init__(self, width: int) -> None:
        from pycuda import compiler

        self._ms, self._bad = spin_ms(width), width == BREAKS
        self.tensors_in = (_tensor("x", (1, 3, 16, 16), True),)
        self.tensors_out = (_tensor("y", (1, 10), False),)
        self.tensors = (*self.tensors_in, *self.tensors_out)
        self._library = ctypes.CDLL("libcuda.so.1")
        module, self._kernel = ctypes.c_void_p(), ctypes.c_void_p()
        code = compiler.compile(SOURCE, no_extern_c=True)
        assert not self._library.cuModuleLoadData(ctypes.byref(module), code)
        assert not self._library.cuModuleGetFunction(ctypes.byref(self._kernel), module, b"spin")
        self._out = 0

    def context(self) -> SpinningEngine:
        return self

    def bind(self, tensor: IOTensor, address: int) -> None:
        if not tensor.is_input:
            self._out = address

    def enqueue(self, stream: int) -> None:
        nanoseconds = ctypes.c_ulonglong(int(self._ms * 1e6))
        out = ctypes.c_void_p(0xDEAD000 if self._bad else self._out)
        places = [ctypes.cast(ctypes.byref(a), ctypes.c_void_p) for a in (nanoseconds, out)]
        arguments = (ctypes.c_void_p * 2)(*places)
        kernel, where = self._kernel, ctypes.c_void_p(stream)
        ones = (1,) * 6
        code = self._library.cuLaunchKernel(kernel, *ones, 0, where, arguments, None)
        assert not code, f"the kernel cannot be launched: {code}"


def _tensor(name: str, shape: tuple[int, ...], is_input: bool) -> IOTensor:
    return IOTensor(name=name, is_input=is_input, shape=shape, dtype=np.dtype(np.float32))


def spinning_network(cuda: Cuda, width: int, target: Target) -> TrtNetwork:
    """A network that runs as TensorRT's do."""
    options = TRT.of(target)
    build = Build(
        engine=b"\0" * 1000 * width,
        seconds=0.1,
        cached=False,
        gpu_peak_mb=0.0,
        host_peak_mb=None,
        workspace_mb=None,
        fell_back=(),
    )
    return TrtNetwork(SpinningEngine(width), build, cuda, target, options)  # type: ignore[arg-type]


class SpinningRuntime:
    """Runtime "trt" without TensorRT."""

    def __init__(self) -> None:
        self._cuda: Cuda | None = None

    def describe(self) -> Mapping[str, object]:
        return {"name": "spinning", "version": "1"}

    def workers(self, target: Target) -> int:
        return 2

    def clock(self, target: Target) -> Clock | None:
        return "device" if target.options.get("latency") == "device" else "wall"

    def limits_address_space(self, target: Target) -> bool:
        return False

    def warm(self) -> None:
        """Nothing: CUDA does not survive a fork."""

    def load(
        self, model: bytes, target: Target, free: Mapping[str, int], alive: Callable[[], None]
    ) -> TrtNetwork:
        self._cuda = self._cuda or Cuda()
        width = first_width(model)
        with self._cuda.sound():
            if width == FULL:
                self._cuda.buffer(1 << 50)
            return spinning_network(self._cuda, width, target)


if __name__ == "__main__":
    place = "tests.hwprune_device.runtimes.spinning_board:SpinningRuntime"
    register(replace(facts_of("trt"), place=place))
    sys.exit(main(sys.argv[1:]))
