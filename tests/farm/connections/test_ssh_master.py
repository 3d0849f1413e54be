"""The connection that sessions share: where its socket lies, who shares it, and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path

import pytest

from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune.farm.connections import connect
from hwprune.farm.connections.ssh_master import base_options, end_master
from tests.farm.connections.contract import hello
from tests.farm.connections.ssh_rig import master_pid

BOARD = Board(name="far", connection="ssh", host="h", ssh_options=("Port=2222", "-F/a/config"))


@pytest.fixture(autouse=True)
def short_cache(monkeypatch):
    """Sockets of these tests lie apart from the user's own, in a folder with a short path."""
    folder = tempfile.mkdtemp(prefix="hw", dir="/tmp")
    monkeypatch.setenv("XDG_CACHE_HOME", folder)
    yield Path(folder)
    shutil.rmtree(folder)


def socket_path(board: Board) -> str:
    (word,) = [word for word in base_options(board) if word.startswith("ControlPath=")]
    return word.removeprefix("ControlPath=")


def test_the_users_options_come_before_those_that_may_be_changed():
    options = base_options(BOARD)
    assert options[:3] == ["-T", "-o", "BatchMode=yes"]
    assert options.index("Port=2222") < options.index("ConnectTimeout=10")
    assert options[options.index("-F/a/config") - 1] != "-o"


def test_the_socket_lies_in_a_folder_of_the_user_alone(short_cache):
    folder = Path(socket_path(BOARD)).parent
    assert folder == short_cache / "hwprune" / "ssh"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_long_path_gives_way_to_a_short_one(monkeypatch, short_cache):
    long = short_cache / ("long" * 20)
    monkeypatch.setenv("XDG_CACHE_HOME", str(long))
    path = socket_path(BOARD)
    assert len(path.replace("%C", 40 * "c")) + 17 <= 107
    assert not long.exists()


def test_a_folder_that_others_can_write_to_is_not_used(short_cache):
    folder = short_cache / "hwprune" / "ssh"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert Path(socket_path(BOARD)).parent != folder


def test_boards_with_other_options_do_not_share():
    other = Board(name="far", connection="ssh", host="h", ssh_options=("Port=2222",))
    assert socket_path(other) != socket_path(BOARD)


def test_a_second_session_shares_the_connection_of_the_first(rig):
    board = rig.board("shared", "Compression=no")
    before = rig.log().count("Accepted publickey")
    one, two = connect(board), connect(board)
    assert hello(one).header["pid"] != hello(two).header["pid"]
    assert rig.log().count("Accepted publickey") == before + 1
    one.close()
    # The end of one session is not the other's.
    two.send({"kind": "nothing"})
    assert "nothing" in two.receive(10).header["message"]
    two.close()
    end_master(board)


def test_a_master_that_hangs_does_not_hold_up_a_new_session(rig):
    board = rig.board("hung", "Compression=no", "LogLevel=ERROR")
    connection = connect(board)
    hello(connection)
    connection.close()
    pid = master_pid(board)
    os.kill(pid, signal.SIGSTOP)
    start = time.monotonic()
    try:
        hello(connection)
        assert time.monotonic() - start < 20
        assert master_pid(board) != pid
    finally:
        os.kill(pid, signal.SIGKILL)
    connection.close()
    end_master(board)


def test_nothing_is_left_after_the_end_of_the_shared_connection(rig):
    board = rig.board("ended", "Compression=no", "LogLevel=INFO")
    connection = connect(board)
    hello(connection)
    connection.close()
    path = Path(socket_path(board))
    assert list(path.parent.glob(f"{path.name[:6]}-*"))
    end_master(board)
    assert not list(path.parent.glob(f"{path.name[:6]}-*"))


def test_a_session_that_cannot_start_leaves_the_shared_connection_to_others(rig, monkeypatch):
    board = rig.board("kept", "Compression=no", "LogLevel=VERBOSE")
    connection, other = connect(board), connect(board)
    hello(connection)
    pid = master_pid(board)
    with monkeypatch.context() as without_ssh, pytest.raises(BoardError):
        without_ssh.setenv("PATH", "/nowhere")
        other.open()
    assert master_pid(board) == pid
    connection.close()
    end_master(board)
