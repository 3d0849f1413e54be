"""`hwprune init`: what it writes loads, and runs once what only its user knows is filled in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app
from hwprune.deployment import load_deployment
from hwprune.errors import InputError
from hwprune.network.execution import EXACT
from hwprune.network.graph_module import to_module
from hwprune.shipped import shipped_profiles
from hwprune.task.load import load_task
from hwprune.task.scoring import score_of
from hwprune.task_settings import KINDS
from tests.digits import trained_digits_base
from tests.pages import ROOT

QUICKSTART = shipped_profiles() / "deployments" / "quickstart.toml"
FEW = (
    "search.evaluations=4",
    "search.finalists=1",
    "finetune.epochs=1",
    "finetune.least_steps=0",
    "delivery.certificate_readings=1",
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no boards of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def init(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["init", *arguments])
    assert done.exit_code == code, done.output
    return done.stdout if not code else done.stderr


def test_without_a_word_it_writes_the_quickstart(here: Path) -> None:
    init()
    made, known = load_deployment(here / "deployment.toml"), load_deployment(QUICKSTART)
    for section in ("network", "data", "budgets", "search", "training", "finetune"):
        assert getattr(made, section) == getattr(known, section), section
    assert [board.name for board in made.boards] == ["this-machine"]


@pytest.mark.parametrize("kind", [*KINDS, "own"])
def test_the_file_of_every_kind_loads_and_its_stub_says_what_to_fill(
    here: Path, kind: str
) -> None:
    told = json.loads(init("mine.toml", "--task", kind, "--json"))
    assert told["next"] == "hwprune prune mine.toml"
    made = load_deployment(here / "mine.toml")
    assert made.task.kind == ("" if kind == "own" else kind)
    stubs = [name for name in told["written"] if name.endswith(".py")]
    assert stubs == ([] if kind == "imitation" else ["task.py" if kind == "own" else "data.py"])
    if stubs:
        with pytest.raises(InputError, match=rf"{stubs[0]}: \w+\(\) is not filled yet"):
            load_task(made.task, made.data)


def test_nothing_is_overwritten(here: Path) -> None:
    (here / "task.py").write_text("mine")
    said = init("--task", "own", code=2)
    assert "task.py: there already" in said
    assert (here / "task.py").read_text() == "mine"
    assert not (here / "deployment.toml").exists()
    init()
    before = (here / "deployment.toml").read_text()
    assert "deployment.toml: there already" in init(code=2)
    assert (here / "deployment.toml").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--task", "detection"], "no kind of task 'detection'"),
        (["net.onnx"], "net.toml"),
        (["--board", "pi-5"], "hwprune boards add pi-5"),
        (["--board", "no/such.toml"], "no board file no/such.toml"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    here: Path, arguments: list[str], said: str
) -> None:
    assert said in init(*arguments, code=2)
    assert list(here.iterdir()) == []


def test_a_boards_profile_is_found_from_where_the_file_lies(here: Path) -> None:
    (here / "pi.toml").write_text('connection = "local"\n')
    init("work/mine.toml", "--board", "pi.toml")
    assert load_deployment(here / "work" / "mine.toml").boards == (here / "pi.toml",)


INPUTS = """    from tests.digits import digit_data
    return (batch for (batch,) in digit_data().inputs(part, count))
"""
SCORE = """    from tests.digits import digit_data
    pairs = digit_data().part(part).pairs(100)
    hits = [run(inputs).argmax(1) == labels for (inputs,), labels in pairs]
    return float(sum(hit.sum() for hit in hits) / sum(len(hit) for hit in hits))
"""


@pytest.fixture
def filled(here: Path) -> Path:
    """A deployment whose stub somebody has filled, and whose network is there."""
    init("--task", "own")
    (here / "network.onnx").write_bytes(trained_digits_base().onnx)
    stub = (here / "task.py").read_text()
    for name, body in (("inputs", INPUTS), ("score", SCORE)):
        empty = f'    raise hwprune.InputError("task.py: {name}() is not filled yet")\n'
        assert empty in stub
        stub = stub.replace(empty, body)
    (here / "task.py").write_text(stub)
    return here / "deployment.toml"


def test_a_task_of_ones_own_scores_when_its_two_functions_are_filled(filled: Path) -> None:
    task = load_task(load_deployment(filled).task, None).task
    module = to_module(trained_digits_base().onnx).eval()
    run = EXACT.run(EXACT.place(module))
    assert score_of(task, run, "heldout").value > 0.9


@pytest.mark.heavy
def test_it_runs_as_a_whole_then(filled: Path) -> None:
    changes = [part for change in FEW for part in ("--set", change)]
    command = [sys.executable, "-m", "hwprune", "prune", filled.name, "--json", *changes]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "devices"), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=280)
    assert done.returncode in (0, 7), done.stderr
    assert json.loads(done.stdout)["metric"]["name"] == "score"
