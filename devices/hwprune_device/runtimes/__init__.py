"""Runtimes that can run a network on a board; each is imported only when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np

from hwprune_device.job import Target
from hwprune_device.reading import Memory


class Network(Protocol):
    """A network that was built and can run."""

    memory: Memory
    doubts: tuple[str, ...]
    """What may be wrong with `memory`, in words; both are there once `weigh` was called."""

    def weigh(self) -> None:
        """Run for the first time and see what memory that takes; called once, before `run`."""

    def run(self) -> None:
        """One inference on inputs that are already in place."""


class Runtime(Protocol):
    """Builds networks. Constructing one imports its library and nothing else."""

    def describe(self) -> Mapping[str, Any]:
        """Name, version, build and provider: what a latency depends on."""

    def warm(self) -> None:
        """Do once what the first build of a process pays for, without leaving threads behind."""

    def load(self, model: bytes, target: Target, free: Mapping[str, int]) -> Network:
        """Build `model`; `free` gives sizes to symbolic dimensions by name.

        Raises:
            MemoryError: the network does not fit.
            Exception: whatever the runtime raises; a build that fails is a failure of the network.
        """

    def execute(self, model: bytes, inputs: np.ndarray) -> np.ndarray:
        """First output (N …) of a network for a batch of inputs (N C H W)."""


class UnknownRuntimeError(Exception):
    """A runtime that is not known, or not installed on this board."""


_REGISTRY = {"onnxrt": "hwprune_device.runtimes.onnxrt:OnnxRuntime"}


def register(name: str, place: str) -> None:
    """Add a runtime: `place` is "module:class", imported when it is first used."""
    _REGISTRY[name] = place


def make_runtime(name: str) -> Runtime:
    """The runtime called `name`.

    Raises:
        UnknownRuntimeError: no such runtime, or its library is not installed here.
    """
    if name not in _REGISTRY:
        raise UnknownRuntimeError(f"no runtime '{name}'; possible: {', '.join(sorted(_REGISTRY))}")
    module, _, member = _REGISTRY[name].partition(":")
    try:
        return cast(Runtime, getattr(importlib.import_module(module), member)())
    except ImportError as error:
        raise UnknownRuntimeError(
            f"runtime '{name}' cannot be used on this board: {error}"
        ) from error


def available() -> dict[str, Runtime]:
    """The runtimes this board has, by name."""
    found = {}
    for name in _REGISTRY:
        try:
            found[name] = make_runtime(name)
        except UnknownRuntimeError:
            continue
    return found
