"""Connections: how the head reaches a board's supervisor, one file for each way."""

from __future__ import annotations

from hwprune.board import Board
from hwprune.farm.connections.connection import Connection
from hwprune.farm.connections.local import LocalConnection


def connect(board: Board) -> Connection:
    """The connection that a board's profile asks for, not yet open."""
    return LocalConnection(board)
