"""`hwprune boards list` and `show`: which boards there are, and what is known of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwprune.cli.board_nodes import Cluster
from hwprune.cli.options import Folder, Json, Name


def list_(folder: Folder = None, cluster: Cluster = "", as_json: Json = False) -> None:
    """The boards of the folder, and those that are nodes of a Ray cluster.

    Exit code 4 if the cluster cannot be joined.

    Example:  hwprune boards list --cluster
    """
    from hwprune.board_folder import board_folder
    from hwprune.cli.board_nodes import find_nodes, with_nodes
    from hwprune.cli.board_row import profile_row
    from hwprune.cli.screen import print_json

    place = board_folder(folder)
    rows = [profile_row(path) for path in sorted(place.glob("*.toml"))]
    if cluster:
        rows = with_nodes(rows, find_nodes(cluster), folder)
    if as_json:
        where = {"cluster": cluster} if cluster else {}
        print_json({"folder": str(place), **where, "boards": rows})
    else:
        _show_list(rows, place, cluster)


def show(name: Name, folder: Folder = None, as_json: Json = False) -> None:
    """A board's profile and what is known of its hardware.

    Example:  hwprune boards show lab-pi
    """
    from dataclasses import asdict

    from hwprune.board import find_board
    from hwprune.cli.board_row import reached, runs
    from hwprune.cli.screen import output, print_json
    from hwprune.report.console import headed

    board = find_board(name, folder)
    if as_json:
        print_json(asdict(board))
        return
    console = output()
    console.print(headed(board.name, f", a board of kind {board.kind}"))
    target = board.target
    rows = {
        "reached by": reached(board),
        "runs": runs(board),
        "cores": board.core_list,
        "python": board.python or "python3 there, or the one that runs hwprune here",
        "precision": f"{target.precision}, batch {target.batch}",
    }
    for heading, lines in (("", rows), ("facts", board.facts)):
        if heading and lines:
            console.print(f"\n{heading}", style="bold")
        for key, value in lines.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            console.print(f"{key:<15}{text}", soft_wrap=True)


def _show_list(rows: Sequence[dict[str, Any]], place: Path, cluster: str) -> None:
    from rich.table import Table

    from hwprune.cli.board_nodes import words
    from hwprune.cli.board_row import NO_PROFILE
    from hwprune.cli.screen import output

    console = output()
    if not rows:
        also = ", and the cluster's nodes are none" if cluster else ""
        console.print(f"no boards in {place}{also}", soft_wrap=True)
        console.print("add one: hwprune boards add NAME --ssh USER@HOST")
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("board", "kind", "reached by", "runs", *(["cluster"] if cluster else [])):
        grid.add_column(heading, overflow="fold")
    for row in rows:
        way = row.get("error") or row["reached"]
        cells = [row["name"], row.get("kind", ""), way, row.get("runs", "")]
        grid.add_row(*cells, *([words(row)] if cluster else []))
    console.print(grid)
    if any(row.get("reached") == NO_PROFILE for row in rows):
        console.print("write a profile: hwprune boards add NAME --ray --unseen")
