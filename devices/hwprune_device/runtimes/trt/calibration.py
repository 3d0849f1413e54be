"""Batches with which the builder of TensorRT 10 finds the ranges of int8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import onnx

from hwprune_device.job import Target
from hwprune_device.runtimes.cuda import Cuda
from hwprune_device.runtimes.inputs import input_values, parts_of
from hwprune_device.runtimes.interface import interface_of
from hwprune_device.runtimes.trt.callbacks import Batches
from hwprune_device.runtimes.trt.tensorrt import BuildOptions

_MADE_UP = 2
"""Batches of random values where no inputs are given: ranges do not change the time."""


@contextmanager
def calibration_batches(
    cuda: Cuda, graph: bytes, wanted: BuildOptions, batch: int, inputs: Sequence[np.ndarray] | None
) -> Iterator[Batches | None]:
    """What the builder asks for; None where it need not calibrate.

    `inputs` (N first) feed those of the network, in its order.
    """
    if wanted.calibration == "qdq" or wanted.precision != "int8":
        yield None
        return
    with ExitStack() as made:
        stream, places = cuda.stream(), []
        sets = _sets(graph, batch, inputs)
        for values in sets[0]:
            host = cuda.pinned(values.shape, values.dtype)
            device = cuda.buffer(host.nbytes)
            made.callback(device.free)
            places.append((host, device))
        waiting = iter(sets)

        def following() -> Sequence[int] | None:
            """Copy the next batch to the device; return the addresses, or None after the last."""
            values = next(waiting, None)
            if values is None:
                return None
            for (host, device), new in zip(places, values, strict=True):
                host[...] = new
                cuda.to_device(device, host, stream)
            # The builder reads the buffers on a stream of its own.
            stream.synchronize()
            return [int(device) for _, device in places]

        yield Batches(size=batch, following=following)


def _sets(graph: bytes, batch: int, inputs: Sequence[np.ndarray] | None) -> list[list[np.ndarray]]:
    """Values of all inputs of the network, batch by batch."""
    if inputs is not None:
        return list(parts_of(inputs, batch))
    random, target = np.random.default_rng(0), Target(batch=batch)
    entries = interface_of(onnx.load_model_from_string(graph)).inputs
    return [
        [input_values(entry.name, entry.shape, entry.type, target, random) for entry in entries]
        for _ in range(_MADE_UP)
    ]
