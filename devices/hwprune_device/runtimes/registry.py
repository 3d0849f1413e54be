"""Runtimes by name; each is imported only when it is used."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import cast

from hwprune_device.runtimes.runtime import Runtime

DENORMALS = "HWPRUNE_DENORMALS"
"""Environment variable: "zero" or "keep". A process decides it once, before any job is known."""


class UnknownRuntimeError(Exception):
    """A runtime that is not known, or not installed on this board."""


_REGISTRY = {
    "onnxrt": "hwprune_device.runtimes.onnxrt.runtime:OnnxRuntime",
    "trt": "hwprune_device.runtimes.trt.runtime:TrtRuntime",
    "torch": "hwprune_device.runtimes.torchrt.runtime:TorchRuntime",
}


def register(name: str, place: str) -> None:
    """Add a runtime: `place` is "module:class", imported when it is first used."""
    _REGISTRY[name] = place


def make_runtime(name: str) -> Runtime:
    """The runtime called `name`.

    Raises:
        UnknownRuntimeError: no such runtime, or its library is not installed here.
        ValueError: the environment asks for what it cannot do.
    """
    if name not in _REGISTRY:
        raise UnknownRuntimeError(f"no runtime '{name}'; possible: {', '.join(sorted(_REGISTRY))}")
    module, _, member = _REGISTRY[name].partition(":")
    try:
        made = getattr(importlib.import_module(module), member)(**_arguments(name))
    except ImportError as error:
        raise UnknownRuntimeError(
            f"runtime '{name}' cannot be used on this board: {error}"
        ) from error
    return cast(Runtime, made)


def _arguments(name: str) -> dict[str, str]:
    return {"denormals": os.environ.get(DENORMALS, "zero")} if name == "onnxrt" else {}


def available(wanted: Sequence[str] = ()) -> tuple[dict[str, Runtime], dict[str, str]]:
    """The runtimes this board has, by name, and why the others cannot be used.

    Only those that are `wanted`, or all: importing one may take seconds.
    """
    found, missing = {}, {}
    for name in wanted or _REGISTRY:
        try:
            found[name] = make_runtime(name)
        except UnknownRuntimeError as error:
            missing[name] = str(error)
    return found, missing
