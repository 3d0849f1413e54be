"""What every connection must hold; each kind's test file makes its own board."""

from __future__ import annotations

import os
import signal
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from hwprune.board import Board
from hwprune.farm.connections import connect
from hwprune.farm.connections.connection import Connection, ConnectionLostError
from hwprune.farm.session import BoardSession
from hwprune_device.frame import Frame
from hwprune_device.job import Protocol, Target
from hwprune_device.reading import Reading
from tests.farm.base import base_network
from tests.hwprune_device.board import outputs, run_frame
from tests.hwprune_device.chain import QUICK, job

HELLO_S = 60.0
_GONE_S = 8.0
_NOISY_SITE = """
import os, sys

class Noisy:
    def find_spec(self, name, path=None, target=None):
        if name == "onnx":
            os.write(1, b"a library greets its user ")

sys.meta_path.insert(0, Noisy())
os.register_at_fork(after_in_child=lambda: os.write(1, b"a child greets too "))
"""


def hello(connection: Connection) -> Frame:
    """Open and hear the first frame."""
    connection.open()
    frame = connection.receive(HELLO_S)
    assert frame.kind == "hello", frame
    return frame


def answer(connection: Connection) -> Frame:
    """The next frame that is more than a sign of life."""
    while (frame := connection.receive(HELLO_S)).kind == "alive":
        pass
    return frame


def run_doubling(connection: Connection, megabytes: int) -> None:
    """Send numbers of that size through a network that doubles them, and look at what returns."""
    values = np.random.default_rng(0).standard_normal((megabytes, 1, 512, 512)).astype("<f4")
    model = _doubling_network()
    connection.send(*run_frame(model, [values], Target()))
    (output,) = outputs(answer(connection))
    assert np.array_equal(output, 2 * values)


def is_gone(pid: int) -> bool:
    """Whether a process ended; one that only waits to be reaped did."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def await_end(*pids: int) -> None:
    """Fail unless all these processes end soon."""
    deadline = time.monotonic() + _GONE_S
    while left := [pid for pid in pids if not is_gone(pid)]:
        assert time.monotonic() < deadline, [psutil.Process(pid).cmdline() for pid in left]
        time.sleep(0.02)


def wrapped_python(board: Board, folder: Path, *, lines: str = "") -> str:
    """The board's Python, started by a script with home and temporary folder in `folder`."""
    home = folder / "home"
    home.mkdir()
    script = folder / "python3"
    script.write_text(
        f'#!/bin/sh\n{lines}\nexport HOME={home} TMPDIR={home}\nexec {_python(board)} "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


def _python(board: Board) -> str:
    return board.python or sys.executable


class ConnectionBasics:
    """The part of the contract that shows a connection to work, in seconds."""

    @staticmethod
    def reach(board: Board, arguments: Sequence[str] = ()) -> Connection:
        """The board's connection, not yet open."""
        return connect(board, arguments)

    @pytest.fixture
    def connection(self, board: Board):
        connection = self.reach(board)
        yield connection
        connection.close()

    def test_hello_arrives_from_the_package_in_memory(self, connection):
        header = hello(connection).header
        assert header["runtimes"] and header["cores"]
        files = psutil.Process(header["pid"]).cmdline()
        assert not [word for word in files if word.endswith(".zip")]

    def test_frames_go_both_ways_whatever_their_size(self, connection):
        hello(connection)
        run_doubling(connection, 12)
        run_doubling(connection, 1)

    def test_a_killed_supervisor_is_a_lost_connection(self, connection):
        pid = hello(connection).header["pid"]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ConnectionLostError):
            connection.receive(10)
        with pytest.raises(ConnectionLostError):
            connection.receive(10)
        with pytest.raises(ConnectionLostError):
            for _ in range(3):
                connection.send({"kind": "ping"})

    def test_close_ends_the_supervisor_and_a_child_at_work(self, connection):
        pid = hello(connection).header["pid"]
        base = base_network()
        endless = Protocol(rounds=10**6, max_rounds=10**6, cap_s=60.0)
        work = replace(job([(8, 8, 8)], protocol=endless), base_id=base.base_id)
        connection.send(
            {"kind": "place", "base_id": base.base_id, "plan": base.plan.to_json()},
            zlib.compress(base.onnx, 1),
        )
        assert answer(connection).kind == "placed"
        connection.send({"kind": "measure", "job": work.to_json()})
        deadline = time.monotonic() + HELLO_S
        while not (children := psutil.Process(pid).children(recursive=True)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        connection.close()
        await_end(pid, *(child.pid for child in children))

    def test_open_again_after_close_is_a_new_supervisor(self, connection):
        first = hello(connection).header["pid"]
        connection.close()
        with pytest.raises(ConnectionLostError, match="not running"):
            connection.receive(1)
        with pytest.raises(ConnectionLostError, match="not running"):
            connection.send({"kind": "ping"})
        assert hello(connection).header["pid"] != first
        await_end(first)

    def test_the_supervisor_is_told_what_the_board_and_the_caller_say(self, board):
        connection = self.reach(replace(board, cache="~/somewhere"), ["--owner", "a b'c\"d"])
        pid = hello(connection).header["pid"]
        words = psutil.Process(pid).cmdline()
        connection.close()
        told = dict(zip(words[-8::2], words[-7::2], strict=True))
        assert told == {
            "--cores": "last",
            "--threads": "1",
            "--cache": "~/somewhere",
            "--owner": "a b'c\"d",
        }


class ConnectionContract(ConnectionBasics):
    """Mixed into a class of tests with a fixture `board`."""

    def test_what_is_printed_on_the_board_does_not_tear_frames(self, board, tmp_path):
        site = tmp_path / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(_NOISY_SITE)
        lines = f"echo Welcome to this board\nexport PYTHONPATH={site}"
        noisy = replace(board, python=wrapped_python(board, tmp_path, lines=lines))
        connection = self.reach(noisy)
        hello(connection)
        run_doubling(connection, 1)
        connection.close()
        assert "Welcome to this board" in connection.stderr_tail()
        assert "a library greets" in connection.stderr_tail()
        assert "a child greets" in connection.stderr_tail()

    def test_a_supervisor_that_ends_leaves_its_last_words(self, board, tmp_path):
        words = "echo the disk is full >&2; exit 4"
        connection = self.reach(
            replace(board, python=wrapped_python(board, tmp_path, lines=words))
        )
        connection.open()
        with pytest.raises(ConnectionLostError, match="the disk is full"):
            connection.receive(10)
        assert connection.stderr_tail().endswith("the disk is full")
        connection.close()

    def test_a_package_that_is_not_there_is_named_with_what_to_do(self, board, tmp_path):
        lines = f'exec {_python(board)} -S "$@"'
        connection = self.reach(
            replace(board, python=wrapped_python(board, tmp_path, lines=lines))
        )
        connection.open()
        with pytest.raises(ConnectionLostError, match="has no numpy: install numpy, onnx"):
            connection.receive(HELLO_S)
        connection.close()

    def test_silence_is_a_lost_connection_after_the_time_given(self, connection):
        pid = hello(connection).header["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(ConnectionLostError, match=r"silent for 0\.3 s"):
                connection.receive(0.3)
        finally:
            os.kill(pid, signal.SIGCONT)

    def test_close_at_once_and_twice_is_no_error(self, connection):
        connection.open()
        connection.close()
        connection.close()
        with pytest.raises(ConnectionLostError, match="not running"):
            connection.receive(1)

    def test_a_run_leaves_nothing_on_the_board(self, board, tmp_path):
        connection = self.reach(replace(board, python=wrapped_python(board, tmp_path)))
        pid = hello(connection).header["pid"]
        run_doubling(connection, 1)
        connection.close()
        await_end(pid)
        assert list((tmp_path / "home").rglob("*")) == []

    def test_a_session_leaves_the_kept_network_alone(self, board, tmp_path):
        there = replace(board, python=wrapped_python(board, tmp_path), protocol=QUICK)
        base = base_network()
        work = replace(job([(8, 8, 8)]), base_id=base.base_id)
        with BoardSession(there) as session:
            assert isinstance(session.measure(work, base).outcomes[0], Reading)
        home = tmp_path / "home"
        left = {str(f.relative_to(home)): f.stat().st_size for f in home.rglob("*") if f.is_file()}
        kept = left.pop(f".cache/hwprune-device/bases/{base.base_id}")
        assert kept < len(base.onnx) + 10_000
        assert all("hwprune-leases" in name and not size for name, size in left.items()), left


def _doubling_network() -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 512, 512])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1, 512, 512])
    node = helper.make_node("Add", ["x", "x"], ["y"])
    graph = helper.make_graph([node], "double", [value], [result])
    opset = [helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
