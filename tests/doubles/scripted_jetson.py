"""A scripted Jetson: a real supervisor whose TensorRT, GPU and kernel files are scripted.

    python -m tests.doubles.scripted_jetson [--cores last ...]

with the supervisor's own arguments, or, as `board_python` makes it, in the place of a board's
Python, so that a profile reaches it like any other board:

    python -m tests.doubles.scripted_jetson -B -c BOOT SIZE ...

Everything between the head and the runtime's calls of TensorRT and CUDA is what a board runs.
"""

from __future__ import annotations

import os
import shlex
import sys
import types
from dataclasses import replace
from functools import partial
from pathlib import Path

ROOT = "HWPRUNE_SCRIPTED_ROOT"
"""Environment variable: the folder in which the board looks for its kernel's files; where it is
not set they are this machine's, which has no GPU to tell of."""
PROGRAM = "tests.doubles.scripted_jetson"


def board_python(folder: Path, *, release: str = "10.3", program: str = PROGRAM) -> str:
    """Make a Jetson in a folder; the path of its Python, for `python` in a board's profile.

    Args:
        folder: an empty one.
        release: of TensorRT, one that was recorded.
        program: another module that starts a board as this one does.
    """
    import hwprune
    import hwprune_device
    from tests.doubles.jetson_runtime import RELEASE
    from tests.doubles.jetson_tree import jetson_tree

    folder.mkdir(parents=True, exist_ok=True)
    places = [str(Path(package.__path__[0]).parent) for package in (hwprune, hwprune_device)]
    settings = {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(places)),
        RELEASE: release,
        ROOT: str(jetson_tree(folder / "root")),
    }
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    python = folder / "python3"
    command = shlex.join([sys.executable, "-m", program])
    python.write_text(f'#!/bin/sh\nexec env {words} {command} "$@"\n')
    python.chmod(0o755)
    return str(python)


def start(
    arguments: list[str], runtime: str = "tests.doubles.jetson_runtime:ScriptedJetson"
) -> int:
    """Be the board until its head is gone; `runtime` is what "trt" stands for, "module:class"."""
    root = os.environ.get(ROOT)
    if root:
        _look_at(Path(root))
    from hwprune_device.runtimes import facts_of, register

    register(replace(facts_of("trt"), place=runtime))
    if arguments[:1] != ["-B"]:
        from hwprune_device.__main__ import main

        return main(arguments)
    _, _, text, *rest = arguments
    _install()
    sys.argv = ["-c", *rest]
    # It leaves by SystemExit, as Python itself would.
    exec(compile(text, "boot", "exec"), {"__name__": "__main__"})
    return 0


def _look_at(root: Path) -> None:
    """Have everything on the board look for the kernel's files there."""
    from hwprune_device.conditions import sysfs

    # Before anything takes it as the default of an argument.
    sysfs.ROOT = root
    from hwprune_device import survey
    from hwprune_device.measurement import energy

    energy.ROOT = root
    survey.survey = partial(survey.survey, str(root))


def _install() -> None:
    """Let a survey find the packages that a Jetson has."""
    from tests.doubles.jetson_runtime import RELEASE
    from tests.doubles.scripted_cuda import ScriptedGpu, scripted_pycuda
    from tests.doubles.scripted_tensorrt import scripted_tensorrt

    pycuda = types.ModuleType("pycuda", "a scripted pycuda")
    pycuda.VERSION_TEXT = "2026.1"  # type: ignore[attr-defined]
    gpu = ScriptedGpu()
    release = os.environ.get(RELEASE, "10.3")
    sys.modules["tensorrt"] = scripted_tensorrt(release, gpu=gpu)
    sys.modules["pycuda"], sys.modules["pycuda.driver"] = pycuda, scripted_pycuda(gpu)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
