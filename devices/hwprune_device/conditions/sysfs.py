"""Readers of the kernel's small text files and of small programs; nothing here raises."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

UNAVAILABLE = "unavailable"
"""The value of whatever a board does not tell; blank or 0 would be a claim."""
ROOT = Path("/")
# Named in full, because a login over ssh may lack the sbin folders in its PATH.
_PROGRAM_FOLDERS = ("usr/sbin", "usr/bin", "sbin", "bin", "usr/local/bin", "opt/vc/bin")
_PROGRAM_TIMEOUT_S = 5.0


def read(path: Path) -> str:
    """The text of a file without its surrounding blanks, or "unavailable"."""
    try:
        # Files of a device tree end with a zero byte, lists in them are parted by one.
        text = path.read_text(errors="replace").replace("\0", " ").strip()
    except OSError:
        return UNAVAILABLE
    return text or UNAVAILABLE


def number(path: Path) -> int | None:
    """The whole number in a file; None when there is none."""
    try:
        # Base 0: some drivers write 0x.
        return int(read(path), 0)
    except ValueError:
        return None


def milli(path: Path) -> float | None:
    """A number of thousandths in a file, such as millidegrees; None when there is none."""
    value = number(path)
    return None if value is None else value / 1000


def megahertz(path: Path) -> int | None:
    """A clock in kHz in a file, as MHz; None when there is none."""
    value = number(path)
    return None if value is None or value <= 0 else round(value / 1000)


def numbered(folder: Path, name: str) -> list[Path]:
    """Entries `name0`, `name1`, … of a folder in the order of their numbers."""
    found = (path for path in folder.glob(f"{name}[0-9]*"))
    pairs = [(path.name[len(name) :], path) for path in found]
    return [path for digits, path in sorted(pairs, key=_by_number) if digits.isdigit()]


def program(root: Path, name: str) -> Path | None:
    """Where a program lies under `root`; None when it is not there."""
    places = (root / folder / name for folder in _PROGRAM_FOLDERS)
    return next((place for place in places if place.is_file()), None)


def said(root: Path, command: Sequence[str]) -> str:
    """What a program under `root` prints, or "unavailable": absent, slow, or with an error."""
    place = program(root, command[0])
    if place is None:
        return UNAVAILABLE
    try:
        done = subprocess.run(
            [str(place), *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROGRAM_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return UNAVAILABLE
    return (done.stdout.strip() if done.returncode == 0 else "") or UNAVAILABLE


def _by_number(pair: tuple[str, Path]) -> tuple[int, str]:
    digits = pair[0]
    return (int(digits) if digits.isdigit() else -1, digits)
