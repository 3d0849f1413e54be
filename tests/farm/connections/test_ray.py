"""A board that is itself a Ray node: its connection lives in an actor there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import ray

from hwprune.board import Board
from hwprune.farm.board_actor import actor_options
from hwprune.farm.connections import connect
from hwprune.farm.connections.connection import ConnectionLostError
from hwprune_device.frame import Frame
from tests.farm.conftest import NODE_BOARD
from tests.farm.connections.contract import ConnectionContract


class Held:
    """In the actor: the connection, as the board's own actor holds it."""

    def __init__(self, board: Board, arguments: Sequence[str]) -> None:
        self._connection = connect(board, arguments)

    def do(self, verb: str, *arguments: Any) -> Any:
        return getattr(self._connection, verb)(*arguments)


class ConnectionOnNode:
    """The connection in the actor, as if it were here."""

    def __init__(self, board: Board, arguments: Sequence[str]) -> None:
        held = ray.remote(Held).options(**actor_options(board))
        self._actor = held.remote(board, arguments)

    def _do(self, verb: str, *arguments: Any) -> Any:
        try:
            return ray.get(self._actor.do.remote(verb, *arguments))
        except ray.exceptions.RayTaskError as error:
            raise (
                error.cause if isinstance(error.cause, ConnectionLostError) else error
            ) from None

    def open(self) -> None:
        self._do("open")

    def send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        self._do("send", header, body)

    def receive(self, timeout_s: float) -> Frame:
        return self._do("receive", timeout_s)

    def close(self) -> None:
        self._do("close")

    def last_words(self) -> str:
        return self._do("last_words")


class TestRay(ConnectionContract):
    @staticmethod
    def reach(board: Board, arguments: Sequence[str] = ()) -> ConnectionOnNode:
        return ConnectionOnNode(board, arguments)

    @pytest.fixture
    def board(self, cluster):
        return Board(name=NODE_BOARD, connection="ray")
