"""One board of a list, as plain data: what its profile says, or that it has none."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwprune.board import Board

NO_PROFILE = "ray, no profile yet"


def profile_row(path: Path) -> dict[str, Any]:
    """A board with a profile; one that is wrong is listed with what is wrong."""
    from hwprune.board import load_board
    from hwprune.errors import DeploymentError

    try:
        board = load_board(path)
    except DeploymentError as error:
        return {"name": path.stem, "path": str(path), "error": error.one_line}
    return {
        "name": path.stem,
        "board": board.name,
        "path": str(path),
        "kind": board.kind,
        "connection": board.connection,
        "reached": reached(board),
        "placeholder": board.is_placeholder,
        "runs": runs(board),
    }


def node_row(name: str, folder: Path | None) -> dict[str, Any]:
    """A board that a node of a cluster says it is; `folder` as for `find_profile`."""
    from hwprune.board_folder import find_profile
    from hwprune.errors import DeploymentError

    # A node may call itself what no profile can be called.
    with contextlib.suppress(DeploymentError):
        path = find_profile(name, folder)
        if path is not None and (row := profile_row(path)).get("board", name) == name:
            return row
    return {"name": name, "board": name, "path": None, "connection": "ray", "reached": NO_PROFILE}


def reached(board: Board) -> str:
    """How a board is reached, in a phrase."""
    if board.is_placeholder:
        return f"{board.connection} (host not set)"
    way = f"{board.connection} {board.host}".strip()
    return f"{way} through {board.gateway}" if board.gateway else way


def runs(board: Board) -> str:
    """What runs networks there, in a phrase."""
    from hwprune_device.conditions.gpu_presence import on_gpu

    if on_gpu(board.target, present=True):
        return f"{board.target.runtime}, {board.target.precision}"
    threads = f"{board.target.threads} thread{'s' if board.target.threads > 1 else ''}"
    return f"{board.target.runtime}, {threads}"
