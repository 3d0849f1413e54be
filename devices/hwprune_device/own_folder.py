"""A folder of this account alone, in a place where others may write too, such as /tmp."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

_OTHERS = 0o077


def opened_folder(path: Path) -> int:
    """Make a folder that nobody else may enter, where it is not there yet, and open it.

    The caller closes the descriptor. What is opened through it cannot be exchanged by somebody
    who may rename the folder.

    Raises:
        OSError: it cannot be made, or what is there is not this account's alone.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    # A link and a file are refused here, both as "Not a directory".
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if why := _objection(folder):
        os.close(folder)
        raise OSError(errno.EPERM, why, str(path))
    return folder


def cache_without_home() -> Path | None:
    """Where an account that has no home keeps what need not be made again: below the temporary
    folder, or nowhere (None) where no folder there is its own alone."""
    try:
        path = Path(tempfile.gettempdir()) / f"hwprune-cache-{os.getuid()}"
        os.close(opened_folder(path))
    except OSError:
        return None
    return path


def _objection(folder: int) -> str:
    """Return why an open folder is not this account's alone; an empty text when it is."""
    state = os.fstat(folder)
    if state.st_uid != os.getuid():
        return f"belongs to the account with the number {state.st_uid}"
    if others := stat.S_IMODE(state.st_mode) & _OTHERS:
        return f"is open to others (mode bits {others:03o})"
    # Relative to the descriptor; a read-only file system shows here alone.
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder):
        return "cannot be written"
    return ""
