from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune.farm.connections import connect
from hwprune.farm.connections.connection import ConnectionLostError
from hwprune.farm.connections.ssh import SshConnection
from tests.farm.connections.conftest import start_rig
from tests.farm.connections.contract import ConnectionBasics, ConnectionContract, hello
from tests.farm.connections.ssh_rig import SshRig


def test_the_users_options_come_before_those_of_ours():
    board = Board(name="far", connection="ssh", host="h", ssh_options=("Port=2222", "-F/a/config"))
    words = SshConnection(board)._command_line()
    assert words[:4] == ["ssh", "-T", "-o", "BatchMode=yes"]
    assert words.index("Port=2222") < words.index("ConnectTimeout=10")
    assert words[words.index("-F/a/config") - 1] != "-o"


class TestSsh(ConnectionBasics):
    @pytest.fixture
    def board(self, rig):
        return rig.board()


@pytest.mark.heavy
class TestSshWhole(ConnectionContract):
    """A login takes as long as most tests; what it adds to local boards is in the basics."""

    @pytest.fixture
    def board(self, rig):
        return rig.board()


def lost_words(board: Board) -> str:
    """What a session is told when this board does not answer."""
    connection = connect(board)
    connection.open()
    with pytest.raises(ConnectionLostError) as caught:
        connection.receive(30)
    connection.close()
    return str(caught.value)


def test_a_key_that_is_not_accepted(rig):
    board = rig.board("wrong-key", f"IdentityFile={rig.folder}/other_key")
    options = [o for o in board.ssh_options if not o.endswith("/user_key")]
    words = lost_words(replace(board, ssh_options=tuple(options)))
    assert f"ssh-copy-id {rig.host}" in words and "Permission denied" in words


def test_a_host_key_that_nobody_has_seen(rig):
    words = lost_words(rig.board("new", "UserKnownHostsFile=/dev/null"))
    assert f"run `ssh {rig.host}` once by hand" in words


def test_a_host_key_that_is_another_one(rig):
    other = rig.folder / "other_hosts"
    other.write_text(f"* {(rig.folder / 'other_key.pub').read_text()}")
    words = lost_words(rig.board("changed", f"UserKnownHostsFile={other}"))
    assert f"ssh-keygen -R {rig.address}" in words


def test_a_port_where_nobody_listens(rig):
    assert "no ssh server listens at that port" in lost_words(rig.board("shut", "Port=9"))


def test_a_name_that_nobody_knows(rig):
    assert "the name of nobody.invalid is unknown" in lost_words(rig.board(host="nobody.invalid"))


def test_an_option_that_ssh_does_not_know(rig):
    assert "look at ssh_options" in lost_words(rig.board("odd", "NoSuchOption=1"))


def test_a_python_that_is_not_on_the_board(rig):
    words = lost_words(rig.board(python="/nowhere/python3"))
    assert "the Python '/nowhere/python3' was not found" in words


def test_a_python_below_the_home_folder_of_the_board(rig):
    words = lost_words(rig.board(python="~/no such folder/python3"))
    assert f"{os.path.expanduser('~')}/no such folder/python3" in words


def test_no_ssh_on_the_head(rig, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BoardError, match="install OpenSSH's client"):
        connect(rig.board()).open()


def test_a_jump_host_of_the_users_own_config(rig):
    common = "\n".join(f"  {option.replace('=', ' ', 1)}" for option in rig.options[1:])
    config = rig.folder / "config"
    # The far host is the jump host's own loopback: on a rig with a link nothing else leads there.
    config.write_text(
        f"Host jump\n  HostName {rig.address}\n"
        "Host far\n  HostName 127.0.0.1\n  ProxyJump jump\n"
        f"Host *\n{common}\n"
    )
    board = replace(rig.board("far", host="far"), ssh_options=(f"-F{config}",))
    connection = connect(board)
    assert hello(connection).header["pid"]
    connection.close()


@pytest.fixture
def port_rig(tmp_path, monkeypatch):
    """A rig on loopback, at a port that is not ssh's own."""
    monkeypatch.setattr(SshRig, "_start_island", lambda self: None)
    rig = start_rig(tmp_path)
    yield rig
    rig.close()


def test_a_changed_host_key_at_another_port_is_forgotten_with_its_port(port_rig):
    other = port_rig.folder / "other_hosts"
    key = (port_rig.folder / "other_key.pub").read_text()
    other.write_text(f"[127.0.0.1]:{port_rig.port} {key}")
    words = lost_words(port_rig.board("changed", f"UserKnownHostsFile={other}"))
    assert f"ssh-keygen -R '[127.0.0.1]:{port_rig.port}' -f {other}" in words


def jump_words(rig: SshRig, jump: str) -> str:
    """What is told of a board behind a jump host, of which `jump` is the ssh configuration."""
    common = "\n".join(f"  {option.replace('=', ' ', 1)}" for option in rig.options[1:])
    config = rig.folder / "jump_config"
    config.write_text(
        f"Host jump\n  HostName {rig.address}\n{jump}\n"
        f"Host far\n  HostName 127.0.0.1\n  ProxyJump jump\nHost *\n{common}\n"
    )
    board = replace(rig.board("far", host="far"), ssh_options=(f"-F{config}",))
    return lost_words(board)


def test_a_jump_host_that_does_not_accept_our_key_is_named(rig):
    words = jump_words(rig, "  User nobody-here")
    assert "the jump host on the way to far failed, not the board" in words
    assert f"ssh-copy-id nobody-here@{rig.address}" in words


def test_a_jump_host_whose_key_nobody_has_seen_is_told_as_such(rig):
    words = jump_words(rig, "  UserKnownHostsFile /dev/null")
    assert "the jump host on the way to far failed" in words
    assert "host key of JUMPHOST is not known" in words


def test_a_jump_host_that_refuses_to_forward_is_told_with_its_reason(tmp_path):
    rig = start_rig(tmp_path, "AllowTcpForwarding no")
    words = jump_words(rig, "")
    rig.close()
    assert "the jump host does not lead to far (administratively prohibited" in words


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh", "tcsh", "fish", "busybox"])
def test_the_remote_command_means_the_same_to_every_shell(shell, tmp_path):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    board = Board(name="far", connection="ssh", host="h", python="~/a b/python3", cache="~/c d")
    python = tmp_path / "a b" / "python3"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n')
    python.chmod(0o755)
    connection = SshConnection(board, ["--owner", "o'w n\"e$r"])
    command = connection._remote_command()
    words = [shell, *(["sh"] if shell == "busybox" else []), "-c", command]
    done = subprocess.run(
        words, capture_output=True, check=True, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert done.stdout.decode().split("\0")[:-1] == connection._python_arguments()
