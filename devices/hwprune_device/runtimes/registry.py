"""Runtimes by name; each is imported only when it is used.

Those of other packages join by an entry point of the group `hwprune.runtimes`: its name is the
runtime's, its value `module:FACTS`, a `RuntimeFacts`. The package must be installed where hwprune
runs and in the Python of the board.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from hwprune_device.job import Target
from hwprune_device.runtimes.facts import RuntimeFacts
from hwprune_device.runtimes.runtime import Runtime

GROUP = "hwprune.runtimes"
_ROOMS = {
    "onnxrt": "onnxrt",
    "trt": "trt",
    "torch": "torchrt",
    "ncnn": "ncnn",
    "trt_rtx": "trt_rtx",
}
_registered: dict[str, RuntimeFacts] = {}


class UnknownRuntimeError(Exception):
    """A runtime that is not known, or not installed on this board."""


def register(facts: RuntimeFacts) -> None:
    """Add a runtime, or take another for one of its name, in this process alone."""
    _registered[facts.name] = facts


def runtime_names() -> tuple[str, ...]:
    """All that a profile may name: ours first, then those of other packages."""
    others = _brought().keys() | _registered.keys()
    return (*_ROOMS, *sorted(others - _ROOMS.keys()))


def facts_of(name: str) -> RuntimeFacts:
    """What is known of a runtime.

    Raises:
        UnknownRuntimeError: no such runtime, or its package is broken.
    """
    if name in _registered:
        return _registered[name]
    if name in _ROOMS:
        room = importlib.import_module(f"hwprune_device.runtimes.{_ROOMS[name]}.facts")
        return cast(RuntimeFacts, room.FACTS)
    if name not in _brought():
        possible = ", ".join(runtime_names())
        raise UnknownRuntimeError(f"no runtime '{name}'; possible: {possible}")
    return _loaded(_brought()[name])


def known_facts(name: str) -> RuntimeFacts | None:
    """What is known of a runtime; None of one that is not known, or whose package is broken."""
    try:
        return facts_of(name)
    except UnknownRuntimeError:
        return None


@cache
def _loaded(entry: EntryPoint) -> RuntimeFacts:
    try:
        found = entry.load()
    except Exception as error:  # whatever a stranger's module raises
        raise UnknownRuntimeError(f"runtime '{entry.name}' cannot be loaded: {error}") from error
    if not isinstance(found, RuntimeFacts) or found.name != entry.name:
        raise UnknownRuntimeError(f"{entry.value} is not the RuntimeFacts of '{entry.name}'")
    return found


def packages_to_look_for(name: str) -> tuple[str, ...]:
    """What a survey of a board imports: what this runtime needs, the default one, and those that
    come with a board's system.

    Raises:
        UnknownRuntimeError: as `facts_of`.
    """
    known = [facts_of(one) for one in _ROOMS]
    wanted = [facts_of(name), facts_of(Target().runtime), *(f for f in known if f.system_package)]
    return tuple(dict.fromkeys(package for facts in wanted for package in facts.packages))


def make_runtime(name: str) -> Runtime:
    """The runtime called `name`.

    Raises:
        UnknownRuntimeError: no such runtime, or its library is not installed here.
        ValueError: the environment asks for what it cannot do.
    """
    module, _, member = facts_of(name).place.partition(":")
    try:
        return cast(Runtime, getattr(importlib.import_module(module), member)())
    except ImportError as error:
        raise UnknownRuntimeError(
            f"runtime '{name}' cannot be used on this board: {error}"
        ) from error


def available(wanted: Sequence[str] = ()) -> tuple[dict[str, Runtime], dict[str, str]]:
    """The runtimes this board has, by name, and why the others cannot be used.

    Only those that are `wanted`, or all: importing one may take seconds.
    """
    found, missing = {}, {}
    # A runtime that is missing here is no error: `hello` says so, and a job may not need it.
    for name in wanted or runtime_names():
        try:
            found[name] = make_runtime(name)
        except UnknownRuntimeError as error:
            missing[name] = str(error)
    return found, missing


def normal_options(
    runtime: str, options: Mapping[str, Any], threads: int, precision: str = "fp32"
) -> dict[str, Any]:
    """The options that differ from the defaults, each in its one spelling.

    Options of runtimes that are not known here are given back as they are.

    Raises:
        OptionError: as `OptionTable.normal`.
    """
    facts = known_facts(runtime)
    if facts is None:
        return dict(options)
    return facts.options.normal(options, threads=threads, precision=precision)


def patience_s(target: Target) -> float:
    """Seconds that building one network for a target may take beyond `Protocol.timeout_s`."""
    facts = known_facts(target.runtime)
    return facts.patience_s(target.options) if facts is not None else 0.0


@cache
def _brought() -> dict[str, EntryPoint]:
    """Entry points by name. None is imported before it is asked for: it may be broken."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}
