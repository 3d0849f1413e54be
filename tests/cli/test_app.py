"""The command as a user's shell sees it: speed, help, versions, exit codes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from hwprune.cli import prune as prune_verb
from hwprune.cli.app import app
from hwprune.cli.verbs import _is_unread
from hwprune.errors import (
    BoardError,
    BudgetError,
    DataError,
    DeliveryError,
    DeploymentError,
    HwpruneError,
    NetworkError,
    RunFolderError,
)

VERBS = ("init", "prune", "report", "inspect", "measure", "doctor")


def hwprune(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hwprune", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "100", "NO_COLOR": "1"},
        timeout=60,
    )


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_help_comes_at_once():
    took = []
    for _ in range(3):
        before = cpu_s()
        assert hwprune("--help").returncode == 0
        # Processor time, not wall time: a busy machine must not fail this.
        took.append(cpu_s() - before)
    assert min(took) < 0.5


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("prune", "--help")])
def test_help_and_version_import_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from hwprune.cli.app import run\n"
        f"sys.argv = ['hwprune', *{arguments!r}]\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        "heavy = ('torch', 'ray', 'onnx', 'numpy', 'jinja2', 'sklearn')\n"
        "print('HEAVY', [name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


def test_version_is_the_packages():
    from hwprune_device import __version__

    assert hwprune("--version").stdout == f"hwprune {__version__}\n"


def test_help_names_every_verb():
    said = hwprune("--help").stdout
    assert all(verb in said for verb in VERBS)
    assert "--install-completion" in said


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_ends_with_an_example(verb):
    said = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "100"}).output
    example = next(line for line in said.splitlines() if "Example:" in line)
    assert f"hwprune {verb}" in example


def test_an_unknown_option_is_a_usage_error():
    done = hwprune("prune", "--colour")
    assert done.returncode == 2
    assert done.stdout == ""


def test_an_error_goes_to_stderr_in_four_parts_without_a_traceback():
    done = hwprune("report", "no/such/run")
    assert done.returncode == 5
    assert done.stdout == ""
    assert done.stderr.startswith("error: there is no run in no/such/run")
    assert "next:" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeploymentError, 2),
        (NetworkError, 2),
        (DataError, 2),
        (BudgetError, 3),
        (BoardError, 4),
        (RunFolderError, 5),
        (DeliveryError, 6),
        (HwpruneError, 1),
    ],
)
def test_every_error_has_its_exit_code(error, code, monkeypatch):
    def fail(*_, **__):
        raise error("it happened", given="[this]", possible="that", next_step="do this")

    monkeypatch.setattr("hwprune.pipeline.run_deployment", fail)
    done = CliRunner().invoke(app, ["prune", "x.toml"])
    assert done.exit_code == code
    for part in ("error: it happened", "[this]", "that", "do this"):
        assert part in done.stderr


def test_an_unexpected_error_keeps_its_traceback_and_points_to_an_issue(monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("no such number")

    monkeypatch.setattr("hwprune.pipeline.run_deployment", fail)
    done = CliRunner().invoke(app, ["prune", "x.toml"])
    assert isinstance(done.exception, ZeroDivisionError)
    assert "open an issue" in done.stderr and "hwprune doctor" in done.stderr


def test_output_that_nobody_reads_any_more_is_no_fault():
    """As after `| head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "hwprune", "boards", "list"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_reader_who_has_gone_is_noticed_though_nothing_is_left_to_write(monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        assert not _is_unread()
        os.close(reading)
        assert _is_unread()


def test_ctrl_c_tells_how_to_resume(monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("hwprune.pipeline.run_deployment", interrupt)
    typed = ["prune", "my deployment.toml", "--out", "runs/a", "--set", "search.evaluations=40"]
    monkeypatch.setattr("sys.argv", ["hwprune", *typed])
    done = CliRunner().invoke(app, typed)
    assert done.exit_code == 130
    assert (
        "resume with: hwprune prune 'my deployment.toml' --out runs/a "
        "--set search.evaluations=40 --resume"
    ) in done.stderr


def test_ctrl_c_in_any_other_verb_is_130_too(monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("hwprune.report.result.read_result", interrupt)
    monkeypatch.setattr("hwprune.cli.report._require_result", lambda folder: None)
    assert CliRunner().invoke(app, ["report", "x"]).exit_code == 130


def test_resume_command_repeats_what_was_typed_once():
    typed = ["/usr/bin/hwprune", "prune", "net.onnx", "--inputs", "a/*.png", "--resume"]
    assert prune_verb.resume_command(typed) == (
        "hwprune prune net.onnx --inputs 'a/*.png' --resume"
    )
