"""What several test files need and takes seconds to make: made once in a test run.

Tests run in several processes. The first that needs a file makes it, the others wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from hwprune.whole_file import write_whole

_folders: list[Path] = []


def keep_in(factory: pytest.TempPathFactory) -> None:
    """Have all processes of this test run share a folder."""
    base = factory.getbasetemp()
    # A process of pytest-xdist has a folder of its own in the run's.
    folder = (base.parent if base.name.startswith("popen-") else base) / "once"
    folder.mkdir(exist_ok=True)
    _folders[:] = [folder]


def once(name: str, make: Callable[[], bytes]) -> bytes:
    """What `make` gives, or gave another process."""
    if not _folders:
        return make()
    file = _folders[0] / name
    with FileLock(f"{file}.lock"):
        if not file.exists():
            write_whole(file, make())
        return file.read_bytes()
