"""`hwprune boards list --cluster`: which boards are nodes of a Ray cluster right now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from hwprune.cluster import NodeBoard

OPTION = "--cluster"
AUTO = "auto"
"""Ray's word for the cluster that this machine is a node of."""
Cluster = Annotated[
    str,
    typer.Option(
        OPTION,
        metavar="[ADDRESS]",
        help="Also the boards that are nodes of a Ray cluster; without an address of the one "
        "that runs here.",
        show_default=False,
    ),
]


class AddressMayBeLeftOut(TyperCommand):
    """A verb that takes `--cluster` alone for `--cluster auto`, which no option of typer can."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Fill in what was left out, then read the words as ever."""
        return super().parse_args(ctx, _filled_in(args))


def find_nodes(address: str) -> tuple[NodeBoard, ...]:
    """The boards among the nodes of a cluster.

    Raises:
        BoardError: it cannot be joined.
    """
    from hwprune.cluster import Cluster, node_boards
    from hwprune.report.progress import watched

    with watched("look at the cluster"), Cluster(address):
        return node_boards()


def with_nodes(
    rows: Sequence[dict[str, Any]], found: Sequence[NodeBoard], folder: Path | None
) -> list[dict[str, Any]]:
    """The rows with each board's nodes, and rows for boards of the cluster that had none yet.

    Args:
        folder: where else profiles may be, as for `find_profile`.
    """
    from hwprune.cli.board_row import node_row

    nodes: dict[str, list[dict[str, str]]] = {}
    for board in found:
        nodes.setdefault(board.name, []).append({"address": board.address, "host": board.host})
    known = {_board(row) for row in rows}
    more = [node_row(name, folder) for name in nodes if name not in known]
    return [{**row, "nodes": nodes.get(_board(row), [])} for row in (*rows, *more)]


def words(row: Mapping[str, Any]) -> str:
    """What a row of a list says of the cluster."""
    places = [f"{node['host']} ({node['address']})" for node in row["nodes"]]
    return ", ".join(places) or ("no node" if row.get("connection") == "ray" else "")


def _board(row: Mapping[str, Any]) -> str:
    """The name by which nodes know it; a profile that is wrong tells none but its file's."""
    return str(row.get("board", row["name"]))


def _filled_in(args: list[str]) -> list[str]:
    filled = []
    for position, word in enumerate(args):
        after = args[position + 1 : position + 2]
        alone = word == OPTION and (not after or after[0].startswith("-"))
        filled.append(f"{OPTION}={AUTO}" if alone else word)
    return filled
