from __future__ import annotations

import os
import signal

import pytest

from hwprune.board import Board
from hwprune.errors import BoardError, InputError
from hwprune.farm.connections import connect
from hwprune.farm.connections.connection import ConnectionLostError
from hwprune.farm.connections.local import LocalConnection
from tests.farm.connections.contract import ConnectionContract, hello


class TestLocal(ConnectionContract):
    @pytest.fixture
    def board(self):
        return Board(name="here")

    def test_the_process_is_the_supervisor_itself(self, board):
        connection = LocalConnection(board)
        assert connection.pid is None
        assert hello(connection).header["pid"] == connection.pid
        connection.close()
        assert connection.pid is None

    def test_the_signal_that_ended_it_is_named(self, board):
        connection = LocalConnection(board)
        os.kill(hello(connection).header["pid"], signal.SIGKILL)
        with pytest.raises(ConnectionLostError, match=r"signal 9 \(Killed\) ended it"):
            connection.receive(10)
        connection.close()


def test_a_latency_table_is_reached_by_nothing():
    with pytest.raises(InputError, match="is a latency table, which measures nothing"):
        connect(Board(name="t", connection="table", table="t.parquet"))


def test_a_python_that_is_not_there_is_told_at_once():
    with pytest.raises(BoardError, match="set python in the board's profile"):
        connect(Board(name="here", python="~/nowhere/python3")).open()
