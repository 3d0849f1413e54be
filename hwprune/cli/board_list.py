"""`hwprune boards list` and `show`: which boards there are, and what is known of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprune.cli.board_options import Folder, Json, Name

if TYPE_CHECKING:
    from hwprune.board import Board


def list_(folder: Folder = None, as_json: Json = False) -> None:
    """The boards of the folder.

    Example:  hwprune boards list
    """
    from rich.table import Table

    from hwprune.board_folder import board_folder
    from hwprune.cli.screen import output, print_json

    place = board_folder(folder)
    rows = [_row(path) for path in sorted(place.glob("*.toml"))]
    if as_json:
        print_json({"folder": str(place), "boards": rows})
        return
    console = output()
    if not rows:
        console.print(f"no boards in {place}", markup=False, soft_wrap=True)
        console.print("add one: hwprune boards add NAME --ssh USER@HOST", markup=False)
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("board", "kind", "reached by", "runs"):
        grid.add_column(heading, overflow="fold")
    for row in rows:
        reached = row.get("error") or row["reached"]
        grid.add_row(row["name"], row.get("kind", ""), reached, row.get("runs", ""))
    console.print(grid)


def show(name: Name, folder: Folder = None, as_json: Json = False) -> None:
    """A board's profile and what is known of its hardware.

    Example:  hwprune boards show lab-pi
    """
    from dataclasses import asdict

    from hwprune.board import find_board
    from hwprune.cli.screen import output, print_json

    board = find_board(name, folder)
    if as_json:
        print_json(asdict(board))
        return
    console = output()
    console.print(f"[bold]{board.name}[/], a board of kind {board.kind}")
    target = board.target
    rows = {
        "reached by": _reached(board),
        "runs": _runs(board),
        "cores": board.core_words,
        "python": board.python or "python3 there, or the one that runs hwprune here",
        "precision": f"{target.precision}, batch {target.batch}",
    }
    for heading, lines in (("", rows), ("facts", board.facts)):
        if heading and lines:
            console.print(f"\n[bold]{heading}[/]")
        for key, value in lines.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            console.print(f"{key:<15}{text}", markup=False, soft_wrap=True)


def _row(path: Path) -> dict[str, Any]:
    """One board of a list; a profile that is wrong is listed with what is wrong."""
    from hwprune.board import load_board
    from hwprune.errors import DeploymentError

    try:
        board = load_board(path)
    except DeploymentError as error:
        return {"name": path.stem, "path": str(path), "error": " ".join(str(error).split())}
    return {
        "name": path.stem,
        "path": str(path),
        "kind": board.kind,
        "reached": _reached(board),
        "placeholder": board.is_placeholder,
        "runs": _runs(board),
    }


def _reached(board: Board) -> str:
    if board.is_placeholder:
        return f"{board.connection} (host not set)"
    way = f"{board.connection} {board.host}".strip()
    return f"{way} through {board.gateway}" if board.gateway else way


def _runs(board: Board) -> str:
    threads = f"{board.target.threads} thread{'s' if board.target.threads > 1 else ''}"
    return f"{board.target.runtime}, {threads}"
