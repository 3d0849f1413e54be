"""The doctor's look at software: the interpreter, the system, packages that must import."""

from __future__ import annotations

import importlib.util
import platform
import sys
from importlib import metadata

from hwprune.cli.checks.check import Check
from hwprune_device.runtimes import known_facts, runtime_names

PYTHON = (3, 11)


def python() -> Check:
    """The interpreter's version."""
    found = f"Python {platform.python_version()} ({sys.executable})"
    if sys.version_info < PYTHON:
        need = ".".join(map(str, PYTHON))
        return Check(name="python", state="fail", found=found, mend=f"use Python {need} or newer")
    return Check(name="python", state="ok", found=found)


def system() -> Check:
    """The operating system: readings use Linux's own counters."""
    found = f"{platform.system()} {platform.release()} on {platform.machine()}"
    if platform.system() == "Linux":
        return Check(name="system", state="ok", found=found)
    return Check(
        name="system",
        state="fail",
        found=found,
        mend="run hwprune on Linux: readings need its counters of stolen and foreign time",
    )


def packages() -> list[Check]:
    """Every package that a run needs, imported for real."""
    return [_package(name) for name in ("numpy", "onnx", "onnxruntime", "onnxscript", "ray")]


def torch() -> Check:
    """torch, and whether it sees a GPU: without one all works, training takes longer."""
    check = _package("torch")
    if check.state == "fail":
        return check
    module = importlib.import_module("torch")
    if module.cuda.is_available():
        names = {module.cuda.get_device_name(n) for n in range(module.cuda.device_count())}
        gpu = f"CUDA {module.version.cuda}: {', '.join(sorted(names))}"
    else:
        gpu = "no CUDA GPU, training and scoring use the processor"
    return Check(name="torch", state="ok", found=f"{check.found}; {gpu}")


def runtimes() -> Check:
    """Which runtimes this machine could be a board for; none but the default is needed."""
    found = []
    for name in runtime_names():
        facts = known_facts(name)
        if facts is None:
            found.append(f"{name} (its package is broken)")
            continue
        lacking = [p for p in facts.packages if importlib.util.find_spec(p) is None]
        found.append(f"{name} (lacks {', '.join(lacking)})" if lacking else name)
    return Check(name="runtimes", state="ok", found=", ".join(found))


def _package(name: str) -> Check:
    try:
        importlib.import_module(name)
    except Exception as error:  # a broken binary raises anything: OSError, AttributeError, …
        version = _version(name)
        state = f"version {version}, does not import" if version else "not installed"
        return Check(
            name=name,
            state="fail",
            found=f"{state}: {type(error).__name__}: {error}",
            mend=f"pip install --force-reinstall '{_requirement(name)}'",
        )
    return Check(name=name, state="ok", found=f"{name} {_version(name)}")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _requirement(name: str) -> str:
    """hwprune's own requirement on a package, such as `ray[rllib]>=2.50`."""
    try:
        wanted = metadata.requires("hwprune") or []
    except metadata.PackageNotFoundError:
        wanted = []
    for requirement in wanted:
        # onnxruntime is no requirement on onnx.
        if requirement.startswith(name) and not requirement[len(name) :][:1].isalnum():
            return requirement.split(";")[0].strip()
    return name
