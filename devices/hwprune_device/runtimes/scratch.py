"""A folder for what a network needs for a moment: gone with its process, however that ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path


def scratch(model_bytes: int) -> tempfile.TemporaryDirectory[str]:
    """A folder for files that live for a moment: in memory where there is room, else on disk.

    Raises:
        OSError: no place for it can be written.
    """
    refused = {}
    for place in _places(4 * model_bytes + 2**24):
        try:
            _clear_up(place)
            return tempfile.TemporaryDirectory(prefix=f"{_prefix()}{os.getpid()}-", dir=place)
        except OSError as error:
            refused[place] = error.strerror
    tried = "; ".join(f"{place}: {why}" for place, why in refused.items())
    raise OSError(f"no temporary folder can be written: {tried}")


def _places(room: int) -> list[Path]:
    """Memory first where it has so many bytes left, and last where it has not."""
    # gettempdir raises where no folder can be written: memory is the only place left.
    memory, disk = Path("/dev/shm"), []
    with contextlib.suppress(OSError):
        disk = [Path(tempfile.gettempdir())]
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > room
    return [memory, *disk] if roomy else [*disk, memory]


def _clear_up(place: Path) -> None:
    """Delete the folders of processes that were killed before they could."""
    for folder in place.glob(f"{_prefix()}*"):
        pid = folder.name.removeprefix(_prefix()).partition("-")[0]
        # A number that was given out again keeps its folder a while longer, which harms nobody.
        if not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _prefix() -> str:
    """Containers may share the place and still number their processes each for itself."""
    try:
        # The inode of the process namespace: numbers of processes are unique within it alone.
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"hwprune-{space}-"
