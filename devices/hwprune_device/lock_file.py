"""Lock files that a user's processes on a machine share; the kernel frees a dead one's locks."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path


def opened(held: ExitStack, name: str) -> TextIOWrapper:
    """The lock file of a name, until `held` is closed."""
    folder = Path(tempfile.gettempdir()) / f"hwprune-leases-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return held.enter_context((folder / f"{name}.lock").open("w"))


def try_alone(file: TextIOWrapper) -> bool:
    """Lock against everybody else, unless somebody holds it."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
