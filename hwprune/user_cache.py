"""The user's cache folder: what may be deleted at any time and is found or measured again."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from hwprune.errors import InputError
from hwprune_device.own_folder import cache_without_home


def user_cache() -> Path:
    """`$XDG_CACHE_HOME/hwprune`, or `~/.cache/hwprune`; it may not be there yet.

    An account without a home has it below the temporary folder. Where no folder can be its own
    alone there, a folder of this process serves, which is deleted at its end.

    Raises:
        InputError: there is neither a home nor a temporary folder.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hwprune"
    except RuntimeError:
        # There is no HOME, and the account is none of those that the system knows.
        return (cache_without_home() or _for_this_process()) / "hwprune"


def store_path() -> Path:
    """The user's store of readings: `$HWPRUNE_STORE`, or in the user's cache folder."""
    return Path(os.environ.get("HWPRUNE_STORE") or user_cache() / "readings.sqlite")


def _for_this_process() -> Path:
    try:
        return Path(_folder_of_process().name)
    except OSError as error:
        raise InputError(
            "this account has no home, and there is no temporary folder either",
            given=str(error.strerror or error),
            next_step="export HOME=FOLDER, or XDG_CACHE_HOME=FOLDER",
        ) from error


# Held here: a TemporaryDirectory that nobody holds deletes its folder.
@cache
def _folder_of_process() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="hwprune-cache-")
