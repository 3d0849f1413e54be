"""Commands that mend a board, written out so that they can be pasted into a shell here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hwprune.board_profile import table

if TYPE_CHECKING:
    from hwprune.board import Board

NEEDED = {"onnxrt": ("numpy", "onnx", "onnxruntime")}
"""Packages that a board needs, by runtime."""
PERFORMANCE = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
SWAP = (
    "sudo fallocate -l 2G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile "
    "&& sudo swapon /swapfile"
)


def there(board: Board, command: str) -> str:
    """The command as it is typed on this machine to run on the board."""
    if board.connection != "ssh":
        return command
    options = "".join(f"-o {shlex.quote(option)} " for option in board.ssh_options)
    return f"ssh {options}{board.host} {shlex.quote(command)}"


def install(board: Board, survey: Mapping[str, Any], name: str, said: str) -> str:
    """The command that installs a package and what else is missing.

    Args:
        said: what importing the package gave; one that is there and broken is installed again.
    """
    needed = NEEDED[board.target.runtime]
    about = table(survey, "python")
    python = str(about.get("executable", board.python or "python3"))
    if about.get("externally_managed"):
        # Debian and its kin let pip install only into an environment of one's own.
        folder = f"{survey.get('home', '~')}/hwprune-python"
        command = f"{python} -m venv {folder} && {folder}/bin/pip install {' '.join(needed)}"
        return f'{there(board, command)}, and python = "{folder}/bin/python" in its profile'
    if said != "not installed":
        return there(board, f"{python} -m pip install --force-reinstall {name}")
    packages = table(survey, "packages")
    missing = [n for n in needed if not table(packages, n).get("imports")]
    return there(board, f"{python} -m pip install {' '.join(missing)}")
