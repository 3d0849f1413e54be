"""The user's cache folder: what may be deleted at any time and is found or measured again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """`$XDG_CACHE_HOME/hwprune`, or `~/.cache/hwprune`; it may not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hwprune"


def store_path() -> Path:
    """The user's store of readings: `$HWPRUNE_STORE`, or in the user's cache folder."""
    return Path(os.environ.get("HWPRUNE_STORE") or user_cache() / "readings.sqlite")
