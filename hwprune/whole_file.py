"""Files that are replaced whole: a reader sees the old content or the new one, never half."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(file: Path, *, durable: bool = True) -> Iterator[Path]:
    """A new file beside `file`, to be written in the block, that takes its place at the end.

    What fails in the block leaves the old content. The new file has a name that was free, so that
    no link which somebody laid there is followed.

    Args:
        durable: whether a power cut shall find it on the disk.

    Raises:
        OSError: the folder cannot be written.
    """
    part = file.with_name(f".{secrets.token_hex(8)}.part")
    # Not by tempfile, whose files only their owner may read: here the umask decides, as usual.
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
    try:
        yield part
        if durable:
            # Before it takes the name, which a power cut could else leave with nothing behind it.
            with part.open("rb") as written:
                os.fsync(written.fileno())
        part.replace(file)
        if durable:
            _sync_folder(file.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Have the name on the disk too; some network disks sync no folders, and need not."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(file: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Write a file as `replacing` does; text as UTF-8.

    Raises:
        OSError: the folder cannot be written.
    """
    with replacing(file, durable=durable) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(file: Path, data: Any) -> None:
    """Write plain data as JSON, as `replacing` does.

    Raises:
        OSError: the folder cannot be written.
    """
    write_whole(file, json.dumps(data, indent=1, ensure_ascii=False))
