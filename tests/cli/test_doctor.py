"""`hwprune doctor`: a whole round on this machine, and what it says when something is wrong."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app
from hwprune.cli.checks import board, data, machine, software
from hwprune.cli.checks.check import Check, probed


@pytest.fixture(scope="module")
def rounds():
    """One real round as JSON: software, machine, a reading on the board."""
    return CliRunner().invoke(app, ["doctor", "--json"])


def test_a_whole_round_finds_this_machine_fit_and_measures_on_it(rounds):
    assert rounds.exit_code == 0, rounds.stdout
    found = json.loads(rounds.stdout)
    assert found["healthy"] is True
    checks = {check["name"]: check for check in found["checks"]}
    assert {"python", "torch", "ray", "onnxruntime", "board", "cache folder"} <= set(checks)
    assert "a tiny network takes" in checks["board"]["found"]


def test_whatever_is_not_ok_says_how_to_mend_it(rounds):
    for check in json.loads(rounds.stdout)["checks"]:
        assert check["found"]
        assert check["state"] == "ok" or check["mend"]


def test_one_failure_is_exit_code_1_and_shows_the_way_out(monkeypatch):
    def two():
        yield Check(name="python", state="ok", found="Python 3.11")
        yield Check(name="ray", state="fail", found="not installed", mend="pip install ray")

    monkeypatch.setattr("hwprune.cli.doctor.examine", two)
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "fail  ray" in done.stdout and "→ pip install ray" in done.stdout


def test_a_warning_does_not_fail(monkeypatch):
    warning = Check(name="steal", state="warn", found="3.0%", mend="another machine")
    monkeypatch.setattr("hwprune.cli.doctor.examine", lambda: [warning])
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0
    assert "warn  steal" in done.stdout


def test_a_look_that_breaks_does_not_end_the_round():
    check = probed("cores", lambda: 1 / 0)
    assert check.state == "warn" and "ZeroDivisionError" in check.found


def test_a_package_that_is_missing_names_the_requirement_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    check = next(c for c in software.packages() if c.name == "ray")
    assert check.state == "fail"
    assert check.mend.startswith("pip install") and "ray" in check.mend


def test_a_cache_folder_that_cannot_be_written_fails(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HWPRUNE_STORE", str(tmp_path / "file" / "readings.sqlite"))
    check = machine.cache_folder()
    assert check.state == "fail" and "HWPRUNE_STORE" in check.mend


def test_the_cache_folder_is_where_the_store_will_be(monkeypatch, tmp_path):
    monkeypatch.setenv("HWPRUNE_STORE", str(tmp_path / "here" / "readings.sqlite"))
    assert str(tmp_path / "here") in machine.cache_folder().found


@pytest.mark.parametrize(("governor", "state"), [("performance", "ok"), ("powersave", "warn")])
def test_a_clock_that_may_change_is_a_warning(governor, state, monkeypatch, tmp_path):
    folder = tmp_path / "cpu0" / "cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_governor").write_text(governor + "\n")
    monkeypatch.setattr(machine, "_CPU", tmp_path)
    assert machine.governor().state == state


@pytest.mark.parametrize(
    ("quota", "state"), [("max 100000", None), ("150000 100000", "warn"), ("nonsense", None)]
)
def test_a_containers_quota_counts_as_cores(quota, state, monkeypatch, tmp_path):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    check = machine.cores()
    if state:
        assert check.state == state and "1.5 by the container" in check.found
    else:
        assert "container" not in check.found


def test_stolen_time_is_a_warning(monkeypatch):
    ticks = iter([(0, 1000), (50, 2000)])
    monkeypatch.setattr(machine, "_stat", lambda: next(ticks))
    monkeypatch.setattr(machine, "STEAL_WATCH_S", 0)
    check = machine.steal()
    assert check.state == "warn" and "5.0% stolen" in check.found


def test_cifar_is_found_where_it_lies(tmp_path):
    assert "is not in" in data.torchvision_data(tmp_path).found
    (tmp_path / data.CIFAR10).mkdir()
    assert f"CIFAR-10 in {tmp_path}" in data.torchvision_data(tmp_path).found


def test_a_board_whose_python_does_not_start_fails(monkeypatch):
    from hwprune.board import Board

    monkeypatch.setattr(
        "hwprune.board.this_machine", lambda: Board(name="broken", python="/no/such/python")
    )
    check = board.board()
    assert check.state == "fail" and "/no/such/python" in check.found


def test_a_board_by_name_is_surveyed_and_measured(monkeypatch, tmp_path):
    (tmp_path / "here.toml").write_text('connection = "local"\n[protocol]\nrounds = 5\n')
    done = CliRunner().invoke(app, ["doctor", str(tmp_path / "here.toml"), "--json"])
    assert done.exit_code == 0, done.stdout
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert {"reached", "python", "onnxruntime", "throttling", "clock", "board"} <= set(checks)
    assert "a tiny network takes" in checks["board"]["found"]


def test_a_board_that_lacks_something_fails_and_is_not_measured(tmp_path):
    (tmp_path / "gone.toml").write_text('connection = "local"\npython = "/no/such/python"\n')
    done = CliRunner().invoke(app, ["doctor", str(tmp_path / "gone.toml")])
    assert done.exit_code == 1
    assert "/no/such/python" in done.stdout and "a tiny network" not in done.stdout


def test_a_board_that_nobody_knows_is_a_usage_error():
    done = CliRunner().invoke(app, ["doctor", "no-such-board"])
    assert done.exit_code == 2
    assert "no board called 'no-such-board'" in done.stderr
