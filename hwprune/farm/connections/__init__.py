"""Connections: how the head reaches a board's supervisor, one file for each way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune.farm.connections.connection import Connection, ConnectionLostError
from hwprune.farm.connections.local import LocalConnection
from hwprune.farm.connections.ssh import SshConnection

_SURVEY_S = 60.0
"""A slow board may take this long to look at itself."""


def connect(board: Board, arguments: Sequence[str] = ()) -> Connection:
    """The connection that a board's profile asks for, not yet open.

    `arguments` are further words for the supervisor's command line. The actor of a "ray" board
    runs on the board, so its supervisor is local.
    """
    if board.connection == "ssh":
        return SshConnection(board, arguments)
    return LocalConnection(board, arguments=arguments)


def refuse_indirect(board: Board) -> None:
    """See to it that nobody who speaks from here takes this machine for a board elsewhere.

    Raises:
        BoardError: only an actor on a Ray node can speak to it.
    """
    if board.connection == "table":
        raise BoardError(
            f"board '{board.name}' is a latency table, which measures nothing",
            given=f'table = "{board.table}"',
            next_step="hwprune table show tells what it knows; a search can be run on it",
        )
    if board.connection != "ray" and not board.gateway:
        return
    node = f"its gateway {board.gateway}" if board.gateway else "the node itself"
    raise BoardError(
        f"board '{board.name}' is reached through a Ray cluster, not from here",
        given=f'gateway = "{board.gateway}"' if board.gateway else 'connection = "ray"',
        possible="a deployment with [board] cluster, which sends an actor there",
        next_step=f"or run this command on {node}, with a profile that reaches it from there",
    )


def survey(board: Board) -> Mapping[str, Any]:
    """What a board is and has, found with nothing but its Python's standard library.

    Raises:
        BoardError: the board cannot be reached, or has no Python that can look.
    """
    refuse_indirect(board)
    connection: Connection = (
        SshConnection(board, survey=True)
        if board.connection == "ssh"
        else LocalConnection(board, survey=True)
    )
    try:
        connection.open()
        return dict(connection.receive(_SURVEY_S).header)
    except ConnectionLostError as error:
        raise BoardError(
            f"board '{board.name}' does not answer",
            given=str(error),
            next_step="mend what is named above and try again",
        ) from error
    finally:
        connection.close()
