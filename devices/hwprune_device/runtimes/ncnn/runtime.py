"""ncnn: networks converted by pnnx and run on processors, one item at a time.

The file knows ncnn without importing it, because a board that has it need not use it. What runs
networks is in `network.py`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from hwprune_device.estimate import Clock
from hwprune_device.job import Target
from hwprune_device.runtimes import EngineFile, ignore_progress
from hwprune_device.runtimes.inputs import input_values
from hwprune_device.runtimes.interface import interface_of

if TYPE_CHECKING:
    from hwprune_device.runtimes.ncnn.network import NcnnNetwork


_LEAST = 20261020
"""The day of the first release of ncnn and of pnnx that say which axis is the batch."""


class NcnnRuntime:
    """Has pnnx convert networks and ncnn run them.

    Raises:
        ImportError: one of the two is not installed here, or too old.
    """

    def __init__(self) -> None:
        for name in ("ncnn", "pnnx"):
            if importlib.util.find_spec(name) is None:
                raise ImportError(f"{name} is not installed")
            # Versions end in a day, such as 1.0.20261020.
            if int(version(name).rpartition(".")[2]) < _LEAST:
                raise ImportError(f"{name} is of {version(name)}; needed: {_LEAST} or newer")

    def describe(self) -> Mapping[str, Any]:
        """Versions of ncnn and of what converts for it."""
        return {"name": "ncnn", "version": version("ncnn"), "pnnx": version("pnnx")}

    def workers(self, target: Target) -> int:
        """The target's threads."""
        return target.threads

    def limits_address_space(self, target: Target) -> bool:
        """Yes: nothing here reserves more than it fills."""
        return True

    def clock(self, target: Target) -> Clock | None:
        """None: the caller's clocks are the only ones."""
        return None

    def warm(self) -> None:
        """Import ncnn and run a network of one layer."""
        from hwprune_device.runtimes.ncnn.net import warm

        warm()

    def load(
        self,
        model: bytes,
        target: Target,
        free: Mapping[str, int],
        alive: Callable[[], None] = ignore_progress,
    ) -> NcnnNetwork:
        """Convert a network and load it.

        Raises:
            MemoryError: it does not fit.
            ValueError: a batch other than 1, or something in the network that ncnn lacks.
        """
        from hwprune_device.runtimes.ncnn.network import NcnnNetwork

        if target.batch != 1:
            raise ValueError(f"ncnn runs one item at a time; the target asks for {target.batch}")
        entries = interface_of(onnx.load_model_from_string(model), free).inputs
        random = np.random.default_rng(0)
        inputs = [input_values(e.name, e.shape, e.type, target, random) for e in entries]
        return NcnnNetwork(model, inputs, target)

    def run_network(
        self, model: bytes, inputs: Sequence[np.ndarray], target: Target | None = None
    ) -> list[np.ndarray]:
        """Every output of the network, which runs once for each item."""
        from hwprune_device.runtimes.ncnn.network import outputs_of

        return outputs_of(model, inputs, target or Target(runtime="ncnn"))

    def engine(self, model: bytes, inputs: Sequence[np.ndarray], target: Target) -> EngineFile:
        """ncnn's own two files of a network, for one item of these shapes."""
        from hwprune_device.runtimes.ncnn.network import engine_file

        return engine_file(model, inputs, target)
