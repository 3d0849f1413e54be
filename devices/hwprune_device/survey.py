"""A survey: what a board is and has, in one frame, before anything is installed on it.

Standard library only, and it never fails: whatever is absent is "unavailable". A Python that is
too old for the rest of the package still answers, with its version alone; that is why this file
keeps to what Python 3.6 understands.
"""

import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable

LEAST_PYTHON = (3, 10)
PACKAGES = ("numpy", "onnx", "onnxruntime", "tensorrt")
_UNAVAILABLE = "unavailable"
_IMPORT_TIMEOUT_S = 90
"""A slow card of a small board may take this long to import a runtime."""
_IMPORT = """
import importlib, json
module = importlib.import_module({name!r})
found = {{"version": str(getattr(module, "__version__", "unavailable"))}}
if hasattr(module, "get_available_providers"):
    found["providers"] = module.get_available_providers()
print("hwprune:" + json.dumps(found))
"""


def main() -> None:
    """Write one frame of kind "survey" to stdout."""
    outgoing = os.dup(1)
    # Whatever a library prints goes to stderr from here on, so that it cannot tear the frame.
    os.dup2(2, 1)
    found = survey() if sys.version_info >= LEAST_PYTHON else {"python": _python()}
    text = json.dumps({"kind": "survey", **found}).encode()
    # By hand, as in frame.py, which needs a newer Python.
    with os.fdopen(outgoing, "wb") as stream:
        stream.write(struct.pack(">I", len(text)) + text + struct.pack(">Q", 0))


def survey(root: str = "/") -> dict:
    """Everything that is known of the board, by topic; `root` is for recorded boards."""
    from pathlib import Path

    from hwprune_device import hardware

    place = Path(root)
    looks = {
        "python": _python,
        "packages": _packages,
        "machine": platform.machine,
        "os": lambda: hardware.os_name(place),
        "kernel": platform.release,
        "disk_free_mb": _disks,
        "home": lambda: os.path.expanduser("~"),
        "clock": time.time,
        **hardware.looks(place),
    }
    return {name: _tried(look) for name, look in looks.items()}


def _tried(look: Callable) -> object:
    try:
        found = look()
        json.dumps(found, allow_nan=False)
    except Exception:  # a survey tells what it can; a look that breaks tells nothing
        return _UNAVAILABLE
    return _UNAVAILABLE if found in (None, "", []) else found


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


def _packages() -> dict:
    """What importing each package gives, each in a process of its own: a broken one may crash."""
    started = {name: _start_import(name) for name in PACKAGES}
    return {name: _end_import(name, process) for name, process in started.items()}


def _start_import(name: str) -> subprocess.Popen:
    # In the root folder, because -c looks for modules in the working folder first.
    return subprocess.Popen(
        [sys.executable, "-B", "-c", _IMPORT.format(name=name)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=os.path.abspath(os.sep),
    )


def _end_import(name: str, process: subprocess.Popen) -> dict:
    try:
        told, errors = process.communicate(timeout=_IMPORT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"imports": False, "error": f"no answer in {_IMPORT_TIMEOUT_S} s"}
    for line in told.decode(errors="replace").splitlines():
        if line.startswith("hwprune:"):
            return {"imports": True, **json.loads(line[len("hwprune:") :])}
    words = errors.decode(errors="replace").strip().splitlines() or [
        f"it ended with code {process.returncode}"
    ]
    missing = f"No module named '{name}'" in words[-1]
    return {"imports": False, "error": "not installed" if missing else words[-1][:300]}


def _disks() -> dict:
    """Free MB where a board keeps things: the user's home, and the folder for temporary files."""
    places = {"home": os.path.expanduser("~"), "tmp": tempfile.gettempdir()}
    return {
        name: shutil.disk_usage(place).free // 10**6
        for name, place in places.items()
        if os.path.isdir(place)
    }
