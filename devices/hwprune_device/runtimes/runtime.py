"""What a runtime and a network of it must do, and how they fail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hwprune_device.estimate import Clock
from hwprune_device.job import Target
from hwprune_device.reading import Memory

if TYPE_CHECKING:
    import numpy as np


def ignore_progress() -> None:
    """Do nothing: the sign of life of a build that nobody watches."""


class Network(Protocol):
    """A network that was built and can run."""

    memory: Memory
    doubts: tuple[str, ...]
    """What may be wrong with `memory`, in words."""
    facts: Mapping[str, Any]
    """What else was seen, for the reading's conditions; all three are there after `weigh`."""

    def weigh(self) -> None:
        """Run for the first time and see what memory that takes; called once, before `run`."""

    def run(self) -> None:
        """One inference on inputs that are already in place.

        Raises:
            BrokenProcessError: nothing works in this process any more.
        """

    def close(self) -> None:
        """Give back what it holds; it is not run again."""


@runtime_checkable
class DeviceTimed(Protocol):
    """A network that a device with a clock of its own runs; an addition to Network."""

    def device_ms(self) -> float | None:
        """Return what the last `run` took by the device's clock; None where that is unknown."""


class Runtime(Protocol):
    """Builds networks. Constructing one shows whether its library is here; a heavy one is imported
    by `warm`."""

    def describe(self) -> Mapping[str, Any]:
        """Name, version, build: what a latency depends on, and what the runtime offers here."""

    def workers(self, target: Target) -> int:
        """How many work at one inference: threads, and what computes beside them.

        Only where it is 1 does the calling thread's CPU time stand for the latency.
        """

    def limits_address_space(self, target: Target) -> bool:
        """Whether a limit on memory may be one on addresses; not where a driver reserves many."""

    def clock(self, target: Target) -> Clock | None:
        """The clock whose time is the latency; None: wall or CPU time, as each batch decides.

        Where it is "device" every network is DeviceTimed.
        """

    def warm(self) -> None:
        """Do once what the first build of a process pays for, without leaving threads behind.

        Called before the first fork of a child that uses this runtime.

        Raises:
            ImportError: its library is here and cannot be imported.
        """

    def load(
        self,
        model: bytes,
        target: Target,
        free: Mapping[str, int],
        alive: Callable[[], None] = ignore_progress,
    ) -> Network:
        """Build `model`; `free` gives sizes to symbolic dimensions by name.

        `alive` may be called while the build makes progress: without a call it is ended in time.

        Raises:
            MemoryError: the network does not fit.
            TimeoutError: it was not built in time.
            Exception: whatever the runtime raises; a build that fails is a failure of the network.
        """

    def run_network(
        self, model: bytes, inputs: Sequence[np.ndarray], target: Target | None = None
    ) -> list[np.ndarray]:
        """Every output of a network, in its order, for inputs in its order (N first).

        Outputs in fp16 and bf16 come as float32. A network of fixed batch runs as often as needed.
        Without a target on the runtime's defaults.

        Raises:
            ValueError: other inputs than the network takes, or an output without a batch axis of a
                network that cannot run all items at once.
            Exception: as `load`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFile:
    """What a runtime compiled a network to, to be loaded by a program on such a device."""

    files: Mapping[str, bytes]
    """By what stands behind `model.` in their names."""
    facts: Mapping[str, Any]
    """What it is good for and how it was built, as plain data."""

    def to_json(self) -> dict[str, Any]:
        """Return the facts, the size of each file (they are sent as one) and their hash."""
        sizes = {name: len(data) for name, data in self.files.items()}
        return {**self.facts, "bytes": sizes, "sha256": self.sha256}

    @property
    def sha256(self) -> str:
        """Of the files' bytes, one after another."""
        return hashlib.sha256(b"".join(self.files.values())).hexdigest()


@runtime_checkable
class Compiling(Protocol):
    """A runtime whose engines can be taken away; an addition to Runtime."""

    def engine(self, model: bytes, inputs: Sequence[np.ndarray], target: Target) -> EngineFile:
        """The very engine that `run_network` runs the network on, with these inputs.

        Raises:
            Exception: as `Runtime.load`.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one kernel, or call, took of an average run."""

    name: str
    """As the runtime calls it."""
    op: str
    ms: float
    layer: str
    """The network's own layer that it computes, see `hwprune_device.layers`; empty: not known."""


class NoProfileError(ValueError):
    """Raised for a target whose kernels the runtime cannot time apart; the message says why."""


@runtime_checkable
class Profiled(Protocol):
    """A runtime that times each kernel of a network; an addition to Runtime."""

    def profile(self, model: bytes, target: Target, free: Mapping[str, int]) -> list[Part]:
        """Kernels in order, over PROFILED runs after WARMING ones, on inputs as `load` has them.

        Profiling slows a network down, so shares of the whole are worth more than the times.

        Raises:
            NoProfileError: not under this target.
            Exception: as `Runtime.load`.
        """


WARMING, PROFILED = 5, 20
"""Runs that are thrown away, and those that a profile is of."""


def typical(runs: Sequence[Sequence[float]]) -> list[float]:
    """Of runs [runs, kernels] what each kernel takes: the mean of its middle half."""
    import numpy as np

    # The mean of the middle half: a median of few runs jumps, a mean takes every outlier.
    count = len(runs)
    # runs x kernels, each column sorted by itself.
    middle = np.sort(np.asarray(runs, float), axis=0)[count // 4 : count - count // 4]
    return [float(value) for value in middle.mean(axis=0)]


class BrokenProcessError(BaseException):
    """After this nothing runs in this process any more, such as after a CUDA error that sticks.

    No Exception, because it is no matter of one network: the process ends, the network at work is
    to blame, and the others are measured in a new one.
    """
