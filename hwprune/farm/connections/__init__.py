"""Connections: how the head reaches a board's supervisor, one file for each way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwprune.board import Board
from hwprune.errors import BoardError, InputError
from hwprune.farm.connections.connection import Connection, ConnectionLostError
from hwprune.farm.connections.local import LocalConnection
from hwprune.farm.connections.ssh import SshConnection

_SURVEY_S = 60.0
"""A slow board may take this long to look at itself."""


def connect(board: Board, arguments: Sequence[str] = (), *, survey: bool = False) -> Connection:
    """The connection that a board's profile asks for, not yet open.

    Args:
        arguments: further words for the supervisor's command line.
        survey: one frame about the board instead of a supervisor.

    Raises:
        InputError: the board is a latency table.
    """
    if board.connection == "table":
        raise InputError(
            f"board '{board.name}' is a latency table, which measures nothing",
            given=f'table = "{board.table}"',
            next_step="name the board that it is of; hwprune table show tells what it knows",
        )
    if board.connection == "ray" or board.gateway:
        # Not at the top: Ray takes seconds to import, and only such boards need it.
        from hwprune.farm.connections.ray import RayConnection

        return RayConnection(board, arguments, survey=survey)
    if board.connection == "ssh":
        return SshConnection(board, arguments, survey=survey)
    return LocalConnection(board, arguments=arguments, survey=survey)


def survey(board: Board) -> Mapping[str, Any]:
    """What a board is and has, found with nothing but its Python's standard library.

    Raises:
        BoardError: the board cannot be reached, or has no Python that can look.
    """
    connection = connect(board, survey=True)
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
