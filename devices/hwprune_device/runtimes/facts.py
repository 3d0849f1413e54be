"""What is known of a runtime without importing it.

Standard library alone: the head reads it before a board is reached, and a board's supervisor
before it forks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hwprune_device.runtimes.option_table import OptionTable

Options = Mapping[str, Any]


def never(options: Options, *, present: bool) -> bool:
    """Of a runtime that computes on processors alone."""
    return False


def always(options: Options, *, present: bool) -> bool:
    """Of a runtime that computes on a GPU alone."""
    return True


def at_once(options: Options) -> float:
    """Of a runtime that builds a network within a protocol's time-out."""
    return 0.0


def any_opset(version: str) -> None:
    """Of a runtime whose versions are not known to differ in the opsets that they read."""


def any_version(opset: int) -> str:
    """The same, asked the other way."""
    return "any version"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFacts:
    """A runtime as profiles, the doctor and the farm need to know it."""

    title: str
    """What runs networks, for a line in a profile."""
    place: str
    """`module:class` of what does as `Runtime` says; imported when it is first used."""
    options: OptionTable
    """Its name, precisions and options."""
    packages: tuple[str, ...]
    """What a board's Python must import."""
    usual_precision: str = "fp32"
    """What people run there."""
    system_package: str = ""
    """One that comes with a board's system. A board that has it was most likely bought for this
    runtime, and an environment there must be made to see it."""
    system: str = ""
    """Boards whose system has that package, in words."""
    system_install: str = ""
    """The command that installs it there."""
    pip_names: Mapping[str, str] = field(default_factory=dict)
    """What pip is asked for, where a package is imported by another name."""
    alone: tuple[str, ...] = ()
    """Packages of which pip would bring more than is used: they are installed without that."""
    pip_brings_all: bool = False
    """Whether pip alone brings the packages in a build that suits any board."""
    reports_memory: bool = True
    """Whether it tells what memory a network takes."""
    has_device_clock: bool = False
    """Whether a latency can be read by the device's own clock."""
    largest_batch: int | None = None
    """The most items that it takes at once; None: any number."""
    on_gpu: Callable[..., bool] = never
    """`on_gpu(options, present=…)`: whether networks run on the GPU, if the board has one."""
    patience_s: Callable[[Options], float] = at_once
    """Seconds that building one network may take beyond `Protocol.timeout_s`."""

    newest_opset: Callable[[str], int | None] = any_opset
    """The newest opset that a version of its last package reads; None where that is not known."""
    least_version: Callable[[int], str] = any_version
    """In words the versions of that package that read an opset."""

    @property
    def name(self) -> str:
        """As a profile's `runtime` says it."""
        return self.options.runtime
