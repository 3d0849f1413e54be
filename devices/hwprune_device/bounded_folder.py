"""A bounded folder: what need not be made or sent again, within a limit of disk space."""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PART = "~"
"""Begins the name of a file that is being written; nothing can be kept under such a name."""
_ABANDONED_S = 3600.0
"""No file takes this long to write: whoever began it died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A file of the folder, as it was when the folder was looked at."""

    path: Path
    size: int
    used_ns: int
    """When it was put or asked for last."""


class BoundedFolder:
    """Files by name; those that were not asked for longest go when there is no room for more.

    It is a convenience and never a duty: a disk that is full or cannot be written keeps nothing,
    without a word. What comes out may have been damaged on the disk, so whoever asks must know
    how to tell. Several processes may use the same folder at once.

    Args:
        path: the folder; it is made when something is first put into it.
        limit_mb: what all its files may take, in MB of 10**6; a larger file is not kept.
    """

    def __init__(self, path: Path, limit_mb: float) -> None:
        self._path = path
        self._limit = int(limit_mb * 1e6)
        with contextlib.suppress(OSError):
            # The limit may have been higher the last time.
            self._shrink_to(self._limit)

    def get(self, name: str) -> bytes | None:
        """What was put under a name, which is then the last to go; None if it is not there.

        Raises:
            ValueError: a name with other characters than letters, digits, dots, dashes and
                underscores.
        """
        file = self._file(name)
        try:
            data = file.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):
            _refresh(file)
        return data

    def put(self, name: str, data: bytes) -> None:
        """Keep data under a name, in place of what was there, if the disk and the limit allow.

        Raises:
            ValueError: as `get`.
        """
        file = self._file(name)
        if len(data) > self._limit:
            return
        part = self._path / f"{_PART}{uuid.uuid4().hex}"
        with contextlib.suppress(OSError):
            self._path.mkdir(parents=True, exist_ok=True)
            # Room is made before, so that the disk never holds more than the limit, and looked
            # for after, since another process may have put something meanwhile.
            self._shrink_to(self._limit - len(data))
            try:
                _write(part, data)
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
            self._shrink_to(self._limit)

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name in (".", ".."):
            raise ValueError(
                f"nothing can be kept under the name {name!r}; possible: letters, digits, dots, "
                "dashes and underscores"
            )
        return self._path / name

    def _shrink_to(self, room: int) -> None:
        """Delete what was not used longest until the rest takes `room` bytes at most."""
        entries = list(self._entries())
        total, now_ns = sum(entry.size for entry in entries), time.time_ns()
        # A board's clock may have been ahead before: a time to come says nothing, and would keep
        # its file for ever. The name is there so that two processes choose the same files.
        entries.sort(key=lambda e: (e.used_ns <= now_ns, e.used_ns, e.path.name))
        for entry in entries:
            if total <= room:
                break
            entry.path.unlink(missing_ok=True)
            total -= entry.size

    def _entries(self) -> Iterator[_Entry]:
        """The files that are there, unfinished ones too; abandoned ones are deleted."""
        with os.scandir(self._path) as found:
            for file in found:
                # Another process may delete it at any moment.
                with contextlib.suppress(FileNotFoundError):
                    if not file.is_file(follow_symlinks=False):
                        continue
                    state = file.stat(follow_symlinks=False)
                    unused_s = time.time() - state.st_mtime
                    if file.name.startswith(_PART) and unused_s > _ABANDONED_S:
                        os.unlink(file.path)
                        continue
                    path = Path(file.path)
                    yield _Entry(path=path, size=state.st_size, used_ns=state.st_mtime_ns)


def _write(path: Path, data: bytes) -> None:
    """Write a file down to the disk.

    A power cut then leaves a whole file or none under its name, and the disk is at rest again
    before anything is timed.
    """
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _refresh(path)


def _refresh(path: Path) -> None:
    """Set when a file was used to now, more finely than the kernel's own ticks of some ms."""
    now_ns = time.time_ns()
    os.utime(path, ns=(now_ns, now_ns))
