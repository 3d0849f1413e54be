"""Boards that are nodes of a Ray cluster, known by a resource that their node carries."""

from __future__ import annotations

from dataclasses import dataclass

_PREFIX = "board:"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBoard:
    """A node of the cluster that says which board it is."""

    name: str
    address: str
    """The node's, as Ray knows it."""
    host: str
    """What the node calls itself."""


def board_resource(name: str) -> str:
    """The resource of the node that is the board `name`, as in `ray start --resources`."""
    return f"{_PREFIX}{name}"


def gateway_resource(name: str) -> str:
    """The resource of a node that reaches the boards behind gateway `name`."""
    return f"gateway:{name}"


def node_boards() -> tuple[NodeBoard, ...]:
    """Boards among the living nodes of the cluster that this process has joined, by name."""
    import ray

    found = [
        NodeBoard(
            name=resource.removeprefix(_PREFIX),
            address=str(node["NodeManagerAddress"]),
            host=str(node["NodeManagerHostname"]),
        )
        for node in ray.nodes()
        if node["Alive"]
        for resource in node["Resources"]
        if resource.startswith(_PREFIX)
    ]
    return tuple(sorted(found, key=lambda board: (board.name, board.address)))
