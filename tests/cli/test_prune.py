"""`hwprune prune`: what it passes on, what it prints, what it tells the shell."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app
from hwprune.floor import FloorFinding
from tests.report.sample import make_result
from tests.report.sample_certificate import make_certificate


@pytest.fixture
def calls(monkeypatch):
    """Stands in for the pipeline, whose own tests run it for real; keeps what it was given."""
    given = {"result": make_result()}

    def run_deployment(path, content, **options):
        given.update(path=path, content=content, **options)
        options["progress"].begin("search", 10)
        options["progress"].end("best 89.5 %")
        return given["result"], Path("runs/half")

    monkeypatch.setattr("hwprune.pipeline.run_deployment", run_deployment)
    return given


def test_a_passed_certificate_is_exit_code_0_and_the_table_is_shown(calls):
    done = CliRunner().invoke(app, ["prune", "half.toml"])
    assert done.exit_code == 0
    for part in ("hwprune", "2.26", "PASS", "runs/half/report.html", "runs/half/model.onnx"):
        assert part in done.stdout
    assert "runs/half/model.engine, for Orin <8GB> and TensorRT 10.3.0 alone" in done.stdout
    assert "doubt     the board's governor could not be read" in done.stdout


@pytest.mark.parametrize(("latency_ms", "status"), [(2.34, "NOT SHOWN"), (2.6, "FAIL")])
def test_a_budget_that_was_not_shown_to_be_kept_is_exit_code_7(calls, latency_ms, status):
    calls["result"] = make_result(make_certificate(latency_ms))
    done = CliRunner().invoke(app, ["prune", "half.toml"])
    assert done.exit_code == 7
    assert status in done.stdout


def test_options_reach_the_pipeline(calls):
    CliRunner().invoke(
        app, ["prune", "a.toml", "--resume", "--out", "o", "--set", "a.b=1", "--set", "c.d=x"]
    )
    assert calls["path"] == Path("a.toml") and calls["out"] == Path("o")
    assert calls["resume"] is True and calls["overrides"] == ["a.b=1", "c.d=x"]


def test_json_is_alone_on_stdout_and_progress_on_stderr(calls):
    done = CliRunner().invoke(app, ["prune", "half.toml", "--json"])
    data = json.loads(done.stdout)
    assert data["passed"] is True and data["report"] == "runs/half/report.html"
    assert "search: done" in done.stderr


def test_quiet_shows_no_progress(calls):
    done = CliRunner().invoke(app, ["prune", "half.toml", "--quiet"])
    assert done.stderr == "" and "PASS" in done.stdout


def test_a_score_below_its_floor_is_exit_code_8(calls):
    floor = FloorFinding(floor=0.95, score=0.9188, reached=False)
    calls["result"] = replace(make_result(), floor=floor)
    done = CliRunner().invoke(app, ["prune", "half.toml"])
    assert done.exit_code == 8
    assert "accuracy 91.88 % is not at least 95.00 %" in done.stdout


def test_a_network_and_inputs_are_a_deployment_without_a_file(calls):
    typed = ["prune", "net.onnx", "--inputs", "f/*.png", "--latency", "50 %", "--board", "pi-5"]
    assert CliRunner().invoke(app, [*typed, "--mean", "0.5", "--at-least", "98 %"]).exit_code == 0
    content = calls["content"]
    assert content["network"] == {"source": "net.onnx", "trained": True}
    assert content["task"] == {"inputs": "f/*.png", "mean": [0.5], "at_least": "98 %"}
    assert content["budget"] == {"latency_ms": "50 %"} and content["board"] == {"profile": "pi-5"}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["net.onnx", "--latency", "50 %"], "nothing says what the network is fed"),
        (["net.onnx", "--inputs", "*.png"], "no limit is given"),
        (["net.onnx", "--inputs", "*.png", "--latency", "5 ms", "--mean", "grey"], "--mean"),
    ],
)
def test_what_is_missing_is_said(calls, typed, said):
    done = CliRunner().invoke(app, ["prune", *typed])
    assert done.exit_code == 2 and said in done.stderr
