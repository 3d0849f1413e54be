"""Where board profiles lie, so that boards are known by name."""

from __future__ import annotations

import os
from pathlib import Path

from hwprune.errors import DeploymentError
from hwprune.file_name import checked_name

THIS_MACHINE = "this-machine"
"""The board that is known everywhere, with a profile or without."""


def board_folders() -> tuple[Path, ...]:
    """Where boards are looked up by name: the project's own profiles, then the user's."""
    project = Path("profiles/boards")
    try:
        config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    except RuntimeError:
        # There is no HOME, and the account is none of those that the system knows.
        return (project,)
    return (project, config / "hwprune" / "boards")


def is_path(named: str) -> bool:
    """Whether somebody means a profile's file rather than a board's name."""
    return "/" in named or named.endswith(".toml")


def board_folder(folder: Path | None = None) -> Path:
    """The folder whose boards are meant: the one that is given, or the first that is there."""
    if folder is not None:
        return folder
    there = [place for place in board_folders() if place.is_dir()]
    return there[0] if there else board_folders()[-1]


def find_profile(name: str, folder: Path | None = None) -> Path | None:
    """The profile of the board called `name`: in `folder`, by default in any of `board_folders()`.

    Raises:
        DeploymentError: no board may be called like that.
    """
    paths = (board_path(name, place) for place in _folders(folder))
    return next((path for path in paths if path.is_file()), None)


def no_such_board(name: str, folder: Path | None = None) -> DeploymentError:
    """What to say where `find_profile` finds none."""
    folders = _folders(folder)
    names = sorted({path.stem for place in folders for path in place.glob("*.toml")})
    return DeploymentError(
        f"there is no board called '{name}'",
        given=f"looked in {' and '.join(map(str, folders))}",
        possible=", ".join(names) or THIS_MACHINE,
        next_step=f"hwprune boards add {name} --ssh USER@HOST",
    )


def board_path(name: str, folder: Path) -> Path:
    """The profile of the board called `name`, which need not be there.

    Raises:
        DeploymentError: no file may be called like that.
    """
    return folder / f"{checked_name(name, what='the name of a board')}.toml"


def _folders(folder: Path | None) -> tuple[Path, ...]:
    return board_folders() if folder is None else (folder,)
