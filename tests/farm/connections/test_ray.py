"""A board that is itself a node of a Ray cluster, or hangs on one."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest
import ray

from hwprune.board import Board
from hwprune.candidate import Candidate
from hwprune.errors import BoardError
from hwprune.farm.connections import connect, survey
from hwprune.farm.connections.ray import RayConnection
from hwprune.farm.farm import Farm
from hwprune.farm.store import ReadingStore
from hwprune_device.reading import Reading
from tests.conftest import NODE_BOARD
from tests.farm.base import base_network
from tests.farm.connections.contract import ConnectionBasics, ConnectionContract
from tests.farm.test_faults import HALF_A_SECOND


@pytest.fixture
def board(cluster):
    return Board(name=NODE_BOARD, connection="ray")


class TestRay(ConnectionBasics):
    @pytest.fixture
    def board(self, board):
        assert isinstance(connect(board), RayConnection)
        return board


@pytest.mark.heavy
class TestRayWhole(ConnectionContract):
    """An actor takes seconds to start, and each test of the contract has its own."""


def test_a_board_that_is_no_node_is_named_with_what_the_cluster_lacks(cluster, monkeypatch):
    monkeypatch.setattr("hwprune.farm.connections.ray._START_S", 3.0)
    with pytest.raises(BoardError, match="no node of the Ray cluster reaches board 'b'") as raised:
        connect(Board(name="b", gateway="lab")).open()
    assert "gateway:lab" in raised.value.given


def test_a_python_that_is_not_on_the_node_is_told_at_once(board):
    with pytest.raises(BoardError, match="set python in the board's profile"):
        connect(replace(board, python="/nowhere/python3")).open()


def test_a_node_is_surveyed_as_any_board_is(board):
    assert survey(board)["python"]["new_enough"] is True


def test_a_killed_actor_is_replaced_and_the_batch_done(board, tmp_path):
    store = ReadingStore(tmp_path / "s.sqlite")
    farm = Farm([replace(board, protocol=HALF_A_SECOND)], store)
    farm.start()
    farm.place(base_network())
    assert isinstance(farm.calibrate(), Reading)
    relay = farm._workers[0].session._connection._relay
    pid = ray.get(relay.__ray_call__.remote(lambda self: os.getpid()))
    futures = farm.measure([Candidate(widths=(12, n, 12)) for n in range(1, 5)])
    time.sleep(0.2)
    os.kill(pid, signal.SIGKILL)
    assert all(isinstance(future.result(120), Reading) for future in futures)
    farm.close()
    store.close()
