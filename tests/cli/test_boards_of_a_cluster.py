"""Boards that are nodes of a real Ray cluster: found by `boards list`, measured on, surveyed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app
from hwprune.cli.board_nodes import with_nodes
from hwprune.cli.board_row import NO_PROFILE, profile_row
from hwprune.cluster import NodeBoard
from tests.conftest import NODE_BOARD

ROOT = Path(__file__).parents[2]
NOBODY = "127.0.0.1:9"
CODE = """
import json, os, subprocess, sys
from ray.cluster_utils import Cluster

def said(*words, **environment):
    command = [sys.executable, "-m", "hwprune", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

def listed(*words, **environment):
    return said("boards", "list", *words, **environment)

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
for name in ("lab", "own", "stranger", "twin", "twin"):
    node = cluster.add_node(num_cpus=1, resources={f"board:{name}": 1, "gateway:g": 1})
address = cluster.address
found = {
    "rows": json.loads(listed("--cluster", address, "--json")),
    "auto": json.loads(listed("--json", "--cluster", RAY_ADDRESS=address)),
    "text": listed("--cluster", address, COLUMNS="160"),
    "checked": json.loads(said("boards", "check", "lab", "--json", RAY_ADDRESS=address)),
}
cluster.remove_node(node)
found["after"] = json.loads(listed("--cluster", address, "--json"))
cluster.shutdown()
print(json.dumps(found))
"""


def profile(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(text)


@pytest.fixture
def place(tmp_path):
    """A working folder with profiles of the project's, and a folder of the user's."""
    project, user = tmp_path / "profiles" / "boards", tmp_path / "config" / "hwprune" / "boards"
    profile(project, "lab", 'connection = "ray"\nkind = "orin"\n')
    profile(project, "gone", 'connection = "ray"\n')
    profile(project, "pi", 'connection = "ssh"\nhost = "pi@pi.local"\n')
    profile(user, "own", 'connection = "ray"\n')
    return tmp_path


def test_a_node_that_no_profile_names_is_listed_as_such(cluster, place, monkeypatch):
    monkeypatch.chdir(place)
    done = CliRunner().invoke(app, ["boards", "list", "--json", "--cluster", "auto"])
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(done.stdout)["boards"]}
    nodes = {name: len(row["nodes"]) for name, row in rows.items()}
    assert nodes == {"gone": 0, "lab": 0, "pi": 0, NODE_BOARD: 1}
    assert rows[NODE_BOARD]["path"] is None and rows[NODE_BOARD]["reached"] == NO_PROFILE


@pytest.mark.heavy
def test_boards_of_a_cluster_are_listed_with_and_without_a_profile(place):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "devices")]),
        "XDG_CONFIG_HOME": str(place / "config"),
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=place,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    rows = {row["name"]: row for row in found["rows"]["boards"]}
    assert list(rows) == ["gone", "lab", "pi", "own", "stranger", "twin"]
    assert {name: len(row["nodes"]) for name, row in rows.items()} == {
        "gone": 0,
        "lab": 1,
        "pi": 0,
        "own": 1,
        "stranger": 1,
        "twin": 2,
    }
    assert rows["lab"]["kind"] == "orin" and rows["lab"]["nodes"][0]["address"]
    assert rows["own"]["path"].endswith("config/hwprune/boards/own.toml")
    assert rows["stranger"]["path"] is None and rows["stranger"]["reached"] == NO_PROFILE
    assert found["auto"]["boards"] == found["rows"]["boards"]
    lines = {line.split()[0]: line for line in found["text"].splitlines() if line.strip()}
    assert lines["gone"].rstrip().endswith("no node")
    assert rows["lab"]["nodes"][0]["address"] in lines["lab"]
    assert "hwprune boards add NAME --ray" in found["text"]
    (checked,) = found["checked"]["boards"]
    assert checked["answers"] and checked["latency_ms"] > 0
    after = {row["name"]: len(row["nodes"]) for row in found["after"]["boards"]}
    assert after["twin"] == 1 and after["stranger"] == 1


@pytest.mark.parametrize("words", [["--cluster", NOBODY], ["--json", "--cluster"]])
def test_a_cluster_that_cannot_be_reached_is_an_error_in_words_and_soon(place, words):
    # In a process of its own, because other tests may have joined a Ray in this one.
    done = subprocess.run(
        [sys.executable, "-m", "hwprune", "boards", "list", *words],
        capture_output=True,
        text=True,
        cwd=place,
        env={**os.environ, "RAY_ADDRESS": NOBODY, "PYTHONPATH": f"{ROOT}:{ROOT / 'devices'}"},
    )
    assert done.returncode == 4
    assert "Ray cannot be joined" in done.stderr and "refused" in done.stderr
    assert done.stdout == ""


def test_without_the_option_no_cluster_is_looked_for(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("RAY_ADDRESS", NOBODY)
    done = CliRunner().invoke(app, ["boards", "list", "--json"])
    assert done.exit_code == 0
    assert not any("nodes" in row for row in json.loads(done.stdout)["boards"])


def test_a_node_is_matched_by_what_the_profile_calls_the_board(tmp_path):
    """A farm asks for the node of the board's own name, which need not be the file's."""
    profile(tmp_path, "alias", 'name = "real"\nconnection = "ray"\n')
    profile(tmp_path, "broken", 'colour = "red"\n')
    found = [
        NodeBoard(name=name, address="10.0.0.1", host="h")
        for name in ("real", "alias", "broken", "no profile/[bold]")
    ]

    rows = [profile_row(path) for path in sorted(tmp_path.glob("*.toml"))]
    whole = [
        (row["name"], row.get("reached"), len(row["nodes"]))
        for row in with_nodes(rows, found, tmp_path)
    ]
    assert whole == [
        ("alias", "ray", 1),
        ("broken", None, 1),
        ("alias", NO_PROFILE, 1),
        ("no profile/[bold]", NO_PROFILE, 1),
    ]
