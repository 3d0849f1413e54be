"""ncnn itself, which no other file touches: a network as a target wants it."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ncnn
import numpy as np

from hwprune_device.job import Target
from hwprune_device.runtimes.ncnn.conversion import Converted, named
from hwprune_device.runtimes.ncnn.options import NCNN
from hwprune_device.runtimes.scratch import scratch

# The number is the magic of ncnn's text format; then counts of layers and blobs.
_WARM = "7767517\n2 2\nInput in0 0 1 in0\nReLU relu 1 1 in0 out0\n"
_NO_AXIS = 233
"""What pnnx and ncnn write for none."""
_NO_ROOM = -100
"""What it gives where an allocation failed."""
# Places come as capsules, which Python cannot compare; their addresses it can.
_address = ctypes.pythonapi.PyCapsule_GetPointer
_address.restype, _address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def warm() -> None:
    """Run a network of one layer on this thread alone."""
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param_mem(_WARM)
    net.load_model_mem("")
    extractor = net.create_extractor()
    extractor.input("in0", _mat(np.ones(4, np.float32), _NO_AXIS))
    extractor.extract("out0")


class Net:
    """A network that ncnn has loaded.

    Raises:
        MemoryError: it does not fit.
        ValueError: it has a layer that this ncnn does not have.
    """

    def __init__(self, converted: Converted, target: Target) -> None:
        self._converted = converted
        self._threads = target.threads
        _check_layers(converted.param.decode())
        self._net = ncnn.Net()
        for name, value in settings(target).items():
            setattr(self._net.opt, name, value)
        with scratch(len(converted.weights)) as folder:
            param, weights = Path(folder) / "model.param", Path(folder) / "model.bin"
            param.write_bytes(converted.param)
            weights.write_bytes(converted.weights)
            if self._net.load_param(str(param)) or self._net.load_model(str(weights)):
                raise ValueError("ncnn does not load what pnnx made of the network")

    def placed(self, inputs: Sequence[np.ndarray]) -> list[Any]:
        """Inputs (N first, N = 1) where ncnn reads them."""
        return [
            _mat(values, axis)
            for values, axis in zip(inputs, self._converted.input_axes, strict=True)
        ]

    def run(self, placed: Sequence[Any], count: Allocations | None = None) -> list[Any]:
        """All outputs, as ncnn holds them.

        Raises:
            MemoryError: there was not enough.
            RuntimeError: a layer does not compute.
        """
        # Anew for each run: an extractor keeps the blobs that it has computed.
        extractor = self._net.create_extractor()
        if count is not None:
            extractor.set_blob_allocator(count)
            extractor.set_workspace_allocator(count)
        for number, values in enumerate(placed):
            extractor.input(f"in{number}", values)
        found = [extractor.extract(f"out{n}") for n in range(len(self._converted.output_axes))]
        failed = next((status for status, _ in found if status), 0)
        if failed:
            kind = MemoryError if failed == _NO_ROOM else RuntimeError
            raise kind(f"ncnn gave up while it ran the network, with {failed}")
        return [values for _, values in found]

    def outputs(self, placed: Sequence[Any]) -> list[np.ndarray]:
        """All outputs in the shapes of the ONNX file.

        Raises:
            ValueError: one is of another size: pnnx did not convert the network rightly.
        """
        known = self._converted
        axes, found = known.output_axes, self.run(placed)
        # Copied, because the memory is ncnn's and goes with the extractor's blobs.
        arrays = [np.array(v.numpy(batch_index=a)) for v, a in zip(found, axes, strict=True)]
        told = zip(known.outputs, arrays, known.output_shapes, strict=True)
        return [_shaped(name, array, shape) for name, array, shape in told]

    def activations_bytes(self, placed: Sequence[Any]) -> int:
        """The most that one run holds at a time beside the weights, on one thread."""
        count = Allocations()
        # An allocator of ours waits for Python, which several threads would do for ever.
        self._net.opt.num_threads = 1
        try:
            self.run(placed, count)
            return count.peak_bytes
        finally:
            self._net.opt.num_threads = self._threads
            # What is still out was freed by the outputs that have just gone.
            count.clear()


class Allocations(ncnn.UnlockedPoolAllocator):
    """An allocator that counts what is held."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[int, int] = {}
        self.peak_bytes = 0

    def fastMalloc(self, size: int) -> Any:
        """As ncnn's own."""
        place = super().fastMalloc(size)
        self._held[_address(place, None)] = size
        self.peak_bytes = max(self.peak_bytes, sum(self._held.values()))
        return place

    def fastFree(self, place: Any) -> None:
        """As ncnn's own."""
        self._held.pop(_address(place, None), None)
        super().fastFree(place)


def settings(target: Target) -> dict[str, int | bool]:
    """What of ncnn's `Option` a target stands for."""
    wanted = NCNN.of(target)
    half, winograd = target.precision == "fp16", bool(wanted["winograd"])
    return {
        "num_threads": target.threads,
        "use_vulkan_compute": False,
        "use_packing_layout": bool(wanted["packing"]),
        "use_sgemm_convolution": bool(wanted["sgemm"]),
        **{f"use_winograd{size}_convolution": winograd for size in ("", "23", "43", "63")},
        "use_fp16_packed": half,
        "use_fp16_storage": half,
        "use_fp16_arithmetic": half and bool(wanted["fp16_arithmetic"]),
        "use_bf16_storage": target.precision == "bf16",
    }


def _check_layers(param: str) -> None:
    """See that this ncnn has every layer."""
    layers = [(kind, name) for kind, name, *_ in map(str.split, param.splitlines()[2:])]
    lacks = [layer for layer in layers if ncnn.layer_to_index(layer[0]) < 0]
    if lacks:
        raise ValueError(f"ncnn {version('ncnn')} has no layer for {named(lacks)}")


def _mat(values: np.ndarray, axis: int) -> Any:
    """Values in memory of ncnn's own: it does not hold on to an array that it was made of."""
    # It reads rows of a table as int32.
    kind = np.int32 if values.dtype == np.int64 else values.dtype
    plain = np.ascontiguousarray(values, kind)
    return ncnn.Mat(plain, batch_index=axis).clone()


def _shaped(name: str, values: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    if shape is None:
        return values
    if values.size != math.prod(shape):
        raise ValueError(
            f"pnnx did not convert the network rightly: output '{name}' is {list(values.shape)} "
            f"in ncnn, and {list(shape)} in the network"
        )
    return values.reshape(shape)
