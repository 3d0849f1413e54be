"""Surveys of boards that are not here, for tests of what is said about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwprune.board import Board
from hwprune_device.conditions import hardware

NOW = 1_795_000_000.0
PI = Board(name="lab-pi", kind="pi", connection="ssh", host="pi@pi.local", ssh_options=("Port=2",))


def survey_of(tree: Path, **changes: Any) -> dict[str, Any]:
    """The survey of a recorded board on which all that is needed is installed."""
    package = {"imports": True, "version": "1.0"}
    return {
        "python": {"version": "3.11.2", "executable": "/usr/bin/python3", "new_enough": True},
        "packages": dict.fromkeys(("numpy", "onnx", "onnxruntime"), package),
        "machine": "aarch64",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "home": "/home/pi",
        "disk_free_mb": {"home": 9000, "tmp": 900},
        "clock": NOW + 2,
        **{name: look() for name, look in hardware.probes(tree).items()},
        "emulated": False,
        **changes,
    }
