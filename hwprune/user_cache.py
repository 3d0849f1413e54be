"""The user's cache folder: what may be deleted at any time and is found or measured again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """`$XDG_CACHE_HOME/hwprune`, or `~/.cache/hwprune`; it may not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hwprune"
