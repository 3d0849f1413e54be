"""A network that ncnn runs: converted, weighed, run, and its files to be taken away."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx

from hwprune_device.job import Target
from hwprune_device.reading import Memory
from hwprune_device.resident import PeakWatch
from hwprune_device.runtimes import EngineFile
from hwprune_device.runtimes.inputs import in_batches
from hwprune_device.runtimes.interface import Interface, interface_of
from hwprune_device.runtimes.ncnn.conversion import Converted, convert
from hwprune_device.runtimes.ncnn.graph import fixed
from hwprune_device.runtimes.ncnn.net import Net, settings

_NO_HEAP = "memory of the weights is that of their file: this board's C library tells no more"


class NcnnNetwork:
    """A network that ncnn has loaded, its inputs (N first, N = 1) in place."""

    memory: Memory
    doubts: tuple[str, ...]
    facts: Mapping[str, Any]

    def __init__(self, model: bytes, inputs: Sequence[np.ndarray], target: Target) -> None:
        start = time.perf_counter()
        converted = _converted(model, inputs)
        self.facts = {"converting_s": time.perf_counter() - start}
        before = _heap_bytes()
        with PeakWatch() as peak:
            self._net = Net(converted, target)
            self._creation_peak_mb = peak.grown_mb()
        grown = _grown(before, _heap_bytes())
        self._weights_bytes = len(converted.weights) if grown is None else grown
        self.doubts = (_NO_HEAP,) if grown is None else ()
        self._inputs = self._net.placed(inputs)

    def weigh(self) -> None:
        """A run whose allocations are counted, on one thread, and one whose outputs are looked at.

        Raises:
            ValueError: an output is of another size than the network's.
        """
        activations = self._net.activations_bytes(self._inputs)
        self.memory = Memory(
            weights_mb=self._weights_bytes / 1e6,
            activations_mb=activations / 1e6,
            creation_peak_mb=self._creation_peak_mb,
        )
        # pnnx may convert without a word into something of another shape.
        self._net.outputs(self._inputs)

    def run(self) -> None:
        """One inference."""
        self._net.run(self._inputs)

    def close(self) -> None:
        """Let the network go."""
        del self._inputs, self._net


def outputs_of(model: bytes, inputs: Sequence[np.ndarray], target: Target) -> list[np.ndarray]:
    """All outputs for inputs (N first), one item after another.

    Raises:
        MemoryError: it does not fit.
        ValueError: a network of fixed batch, other inputs than it takes, or what ncnn lacks.
    """
    interface = _of_one_item(model)
    nets: list[Net] = []

    def infer(item: Sequence[np.ndarray]) -> list[np.ndarray]:
        if not nets:
            # At the first item: ncnn's form is of fixed sizes, and shapes are known only now.
            nets.append(Net(_converted(model, item), target))
        return nets[0].outputs(nets[0].placed(item))

    return in_batches(infer, inputs, interface, size=1)


def engine_file(model: bytes, inputs: Sequence[np.ndarray], target: Target) -> EngineFile:
    """What `ncnn::Net` loads for one item of these shapes, and what it is to be set to."""
    _of_one_item(model)
    start = time.perf_counter()
    converted = _converted(model, [values[:1] for values in inputs])
    seconds = time.perf_counter() - start
    return EngineFile(
        files={"ncnn.param": converted.param, "ncnn.bin": converted.weights},
        facts={
            "made_for": f"ncnn {version('ncnn')}",
            "pnnx": version("pnnx"),
            "option": settings(target),
            "precision": target.precision,
            "batch": 1,
            "inputs": [
                {"name": f"in{n}", "onnx_name": e.name, "shape": list(e.shape), "type": e.type}
                for n, e in enumerate(converted.inputs)
            ],
            "outputs": [
                {"name": f"out{n}", "onnx_name": name} for n, name in enumerate(converted.outputs)
            ],
            "device_ms": None,
            "build": {"seconds": seconds, "fell_back": ()},
        },
    )


def _converted(model: bytes, inputs: Sequence[np.ndarray]) -> Converted:
    return convert(fixed(model, [values.shape for values in inputs]))


def _of_one_item(model: bytes) -> Interface:
    """The interface of a network that may run one item at a time."""
    interface = interface_of(onnx.load_model_from_string(model))
    if interface.fixed_batch not in (None, 1):
        raise ValueError(
            f"ncnn runs one item at a time; the network was written for {interface.fixed_batch}"
        )
    return interface


def _grown(before: int | None, after: int | None) -> int | None:
    return after - before if before is not None and after is not None and after > before else None


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def _heap_bytes() -> int | None:
    """Bytes that this process has allocated and not freed; None where the C library is none
    that counts: glibc from 2.33 on does.
    """
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        return None
    # ctypes takes an int else, and the structure would be cut off.
    ask.restype = _Mallinfo2
    # uordblks: taken from the heap; hblkhd: in mappings of their own, as large arrays are.
    told = ask()
    return int(told.uordblks + told.hblkhd)
