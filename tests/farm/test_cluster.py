"""Our own Ray keeps to this machine and asks for a token."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import ray

from hwprune.cluster import Cluster
from hwprune.errors import BoardError

LISTENING = "0A"


def listeners(user_processes: set[str]) -> set[str]:
    """Local addresses (hexadecimal) on which any of the given processes listens."""
    inodes = set()
    for pid in user_processes:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                target = os.readlink(handle)
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                found.add(fields[1].split(":")[0])
    return found


def ray_processes() -> set[str]:
    """Processes that Ray started for this session, by their session folder or name."""
    session = ray._private.worker._global_node.get_session_dir_path()
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if session in command:
            found.add(folder.name)
    return found


def test_nothing_of_ours_listens_beyond_loopback(cluster):
    processes = ray_processes()
    assert len(processes) >= 3
    loopback = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
    found = listeners(processes)
    assert found and found <= loopback


def test_a_token_is_asked_for(cluster):
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


def test_a_ray_that_runs_already_is_used_and_left_alone(cluster):
    with Cluster():
        assert ray.is_initialized()
    assert ray.is_initialized()


def test_a_cluster_that_is_not_there_is_a_clear_error(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def nobody(**arguments: object) -> None:
        raise ConnectionError("nobody listens")

    monkeypatch.setattr(ray, "init", nobody)
    with pytest.raises(BoardError, match="cannot be joined"):
        Cluster("ray.example:6379").start()
