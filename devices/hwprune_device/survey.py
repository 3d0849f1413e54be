"""A survey: what a board is and has, in one frame, before anything is installed on it.

Standard library only, and it never fails: whatever is absent is "unavailable". A Python that is
too old for the rest of the package still answers, with its version alone; that is why this file
keeps to what Python 3.6 understands.
"""

import importlib
import json
import os
import platform
import select
import shutil
import signal
import struct
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable

LEAST_PYTHON = (3, 10)
PACKAGES = ("numpy", "onnx")
"""What any board needs."""
_UNAVAILABLE = "unavailable"
_IMPORT_TIMEOUT_S = 90
"""A slow card of a small board may take this long to import a runtime."""


def main(*packages: str) -> None:
    """Write one frame of kind "survey" to stdout; `packages`: what is to be imported besides."""
    outgoing = os.dup(1)
    # Whatever a library prints goes to stderr from here on, so that it cannot tear the frame.
    os.dup2(2, 1)
    found = (
        survey(packages=packages) if sys.version_info >= LEAST_PYTHON else {"python": _python()}
    )
    text = json.dumps({"kind": "survey", **found}).encode()
    # By hand, as in frame.py, which needs a newer Python.
    with os.fdopen(outgoing, "wb") as stream:
        stream.write(struct.pack(">I", len(text)) + text + struct.pack(">Q", 0))


def survey(root: str = "/", packages: tuple = ()) -> dict:
    """Everything that is known of the board, by topic; `root` is for recorded boards."""
    from pathlib import Path

    from hwprune_device.conditions import hardware

    place = Path(root)
    looks = {
        "python": _python,
        "packages": lambda: _packages(tuple(dict.fromkeys((*PACKAGES, *packages)))),
        "machine": platform.machine,
        "os": lambda: hardware.os_name(place),
        "kernel": platform.release,
        "disk_free_mb": _disks,
        "home": lambda: os.path.expanduser("~"),
        "clock": time.time,
        **hardware.probes(place),
    }
    return {name: _tried(look) for name, look in looks.items()}


def _tried(look: Callable) -> object:
    try:
        found = look()
        json.dumps(found, allow_nan=False)
    except Exception:  # a survey tells what it can; a look that breaks tells nothing
        return _UNAVAILABLE
    # Blank would be a claim.
    return _UNAVAILABLE if found in (None, "", [], {}) else found


def _python() -> dict:
    """The interpreter that runs this, and whether pip may install into it."""
    library = sysconfig.get_path("stdlib") or ""
    inside = sys.prefix != sys.base_prefix
    marked = os.path.exists(os.path.join(library, "EXTERNALLY-MANAGED"))
    return {
        "version": platform.python_version(),
        "executable": sys.executable or _UNAVAILABLE,
        "least": ".".join(map(str, LEAST_PYTHON)),
        "new_enough": sys.version_info >= LEAST_PYTHON,
        "environment": inside,
        "externally_managed": marked and not inside,
    }


def _packages(names: tuple) -> dict:
    """What importing each package gives, each in a process of its own: a broken one may crash."""
    # All at once, as they share one deadline.
    started = {name: _start_import(name) for name in names}
    deadline = time.monotonic() + _IMPORT_TIMEOUT_S
    return {name: _end_import(pid, pipe, deadline) for name, (pid, pipe) in started.items()}


def _start_import(name: str) -> tuple:
    """A child that imports a package: its process id and where its answer comes out.

    Forked, because the interpreter cannot always be started a second time: in a container or an
    emulator its name stands for a longer command.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            # Modules that happen to lie in the working folder are not installed packages.
            sys.path = [place for place in sys.path if place]
            os.write(writing, json.dumps(_imported(name)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    return pid, reading


def _imported(name: str) -> dict:
    try:
        module = importlib.import_module(name)
        version = getattr(module, "__version__", None) or getattr(module, "VERSION_TEXT", None)
        found = {"imports": True, "version": str(version or _UNAVAILABLE)}
        if name == "pycuda":
            # The package is there without a driver; what is used of it is not.
            importlib.import_module("pycuda.driver")
        if hasattr(module, "get_available_providers"):
            found["providers"] = list(module.get_available_providers())
    except ModuleNotFoundError as error:
        if (name, error.name) == ("pnnx", "torch"):
            # Its Python side wants torch. The program beside it, which is what is used, does not.
            metadata = importlib.import_module("importlib.metadata")
            return {"imports": True, "version": metadata.version(name)}
        words = "not installed" if error.name == name else str(error)
        return {"imports": False, "error": words}
    except BaseException as error:  # a broken package raises anything, SystemExit too
        lines = str(error).strip().splitlines() or [""]
        return {"imports": False, "error": f"{type(error).__name__}: {lines[-1]}"[:300]}
    return found


def _end_import(pid: int, pipe: int, deadline: float) -> dict:
    """The answer of a child that imports, or how it ended without one."""
    told = b""
    while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(pipe, 65536)
        if not part:
            break
        told += part
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(pipe)
    status = os.waitpid(pid, 0)[1]
    try:
        return json.loads(told)
    except ValueError:
        pass
    if time.monotonic() >= deadline:
        return {"imports": False, "error": f"no answer in {_IMPORT_TIMEOUT_S} s"}
    how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "no word"
    return {"imports": False, "error": f"importing it ended the process with {how}"}


def _disks() -> dict:
    """Free MB where a board keeps things: the user's home, and the folder for temporary files."""
    home = os.path.expanduser("~")
    found: dict = {"home": _free_mb(home)} if os.path.isdir(home) else {}
    try:
        found["tmp"] = _free_mb(tempfile.gettempdir())
    except OSError:
        # None of the folders for temporary files can be written.
        found["tmp"] = _UNAVAILABLE
    return found


def _free_mb(folder: str) -> int:
    return shutil.disk_usage(folder).free // 10**6
