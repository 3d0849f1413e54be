"""Lock files that an account's processes on a machine share; the kernel frees a dead one's locks.

They lie in a folder of the account alone. In one that is open to all, a stranger could hold a lock
for ever, or put a link in its place. So two accounts never wait for each other.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from hwprune_device.own_folder import opened_folder

_NO_SURPRISES = os.O_NOFOLLOW | os.O_CLOEXEC


class NoLockFolderError(ValueError):
    """No lock file can be kept where strangers cannot reach it."""


def opened(held: ExitStack, name: str) -> int:
    """A descriptor of the lock file of a name, until `held` is closed.

    Raises:
        NoLockFolderError: there is no place for it.
    """
    # The file is opened through the folder's descriptor: nobody can exchange the folder.
    folder = _opened_folder()
    try:
        file = os.open(
            f"{name}.lock", os.O_RDWR | os.O_CREAT | _NO_SURPRISES, 0o600, dir_fd=folder
        )
    except OSError as error:
        where = os.readlink(f"/proc/self/fd/{folder}")
        raise NoLockFolderError(f"{where}/{name}.lock: {error.strerror}") from error
    finally:
        os.close(folder)
    held.callback(os.close, file)
    # A pipe or a stranger's file under that name would lock nothing.
    state = os.fstat(file)
    if not stat.S_ISREG(state.st_mode) or state.st_uid != os.getuid():
        raise NoLockFolderError(f"{name}.lock is no file of this account")
    return file


def try_alone(file: int) -> bool:
    """Lock against everybody else, unless somebody holds it."""
    try:
        # flock, not lockf: a lock of the open file, which a forked child does not release.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def places() -> Iterator[Path]:
    """Where the folder may lie, in the order in which they are tried.

    First what every process of a machine has, so that they find one folder: the folder of a login
    is there only while one lasts, and the last is what an environment variable names.

    Raises:
        OSError: from the last, where there is no temporary folder.
    """
    yield Path("/dev/shm")
    session = Path(f"/run/user/{os.getuid()}")
    if session.is_dir() and session.lstat().st_uid == os.getuid():
        yield session
    yield Path("/tmp")
    yield Path(tempfile.gettempdir())


def _opened_folder() -> int:
    """The first folder that is this account's alone, made where it is not there yet."""
    refused = {}
    try:
        for place in places():
            folder = place / f"hwprune-leases-{os.getuid()}"
            try:
                return opened_folder(folder)
            except OSError as error:
                refused[folder] = error.strerror
    except OSError as error:
        refused[Path("the temporary folder")] = error.strerror
    tried = "; ".join(f"{folder}: {why}" for folder, why in refused.items())
    raise NoLockFolderError(f"no folder for lock files that is this account's alone: {tried}")
