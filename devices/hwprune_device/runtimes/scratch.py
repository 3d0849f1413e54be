"""A folder for what a network needs for a moment: gone with its process, however that ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


def scratch(model_bytes: int) -> tempfile.TemporaryDirectory[str]:
    """A folder for files that live for a moment: in memory where there is room, else on disk."""
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and shutil.disk_usage(shared).free > 4 * model_bytes + 2**24
    place = shared if roomy else Path(tempfile.gettempdir())
    _clear_up(place)
    return tempfile.TemporaryDirectory(prefix=f"{_prefix()}{os.getpid()}-", dir=place)


def _clear_up(place: Path) -> None:
    """Delete the folders of processes that were killed before they could."""
    for folder in place.glob(f"{_prefix()}*"):
        pid = folder.name.removeprefix(_prefix()).partition("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _prefix() -> str:
    """Containers may share the place and still number their processes each for itself."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"hwprune-{space}-"
