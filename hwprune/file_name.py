"""Names that become names of files: one rule for those that others must be able to type."""

from __future__ import annotations

import re

from hwprune.errors import DeploymentError

LONGEST = 100
"""Characters of a name, well below what a file system takes."""
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}")


def checked_name(name: str, *, what: str) -> str:
    """A name that may be a file's as it is.

    Args:
        what: it is the name of, in words.

    Raises:
        DeploymentError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise DeploymentError(
            f"{what} cannot be this",
            given=repr(name[: 2 * LONGEST]),
            possible="letters, digits, dots, dashes and underscores, such as lab-pi-2; "
            f"a letter or digit first, {LONGEST} at most",
        )
    return name


def file_name(words: str) -> str:
    """Words as a file's name: `30 %` is `30`."""
    # A dot in front would hide the file, and `..` is another folder.
    return re.sub(r"[^\w.]+", "-", words)[:LONGEST].strip("-.") or "unnamed"
