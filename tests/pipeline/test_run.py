"""The main job on real input: a small quickstart from the command line, killed, resumed, read."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app
from hwprune.task.data import load_data
from hwprune.task.kinds import classification
from tests.digits import accuracy_of
from tests.pipeline.deployments import command

MOMENTS = ("training/", "search/", "finetune/")
"""Parts of a run folder whose coming into being marks training, search and fine-tuning."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A user's environment with a store of readings of its own."""
    store = tmp_path_factory.mktemp("store") / "readings.sqlite"
    return {**os.environ, "HWPRUNE_STORE": str(store)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, environment):
    """A finished small run: its folder and what --json printed."""
    out = tmp_path_factory.mktemp("runs") / "run"
    done = subprocess.run(command(out), env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 7), done.stderr[-3000:]
    return out, json.loads(done.stdout)


def test_the_run_folder_holds_the_network_and_the_evidence(finished):
    out, _ = finished
    for name in (
        "model.onnx",
        "weights.safetensors",
        "architecture.json",
        "result.json",
        "certificate.json",
        "report.html",
    ):
        assert (out / name).stat().st_size > 0, name
    assert not [p for p in out.rglob("*") if p.suffix in {".pkl", ".pickle", ".pt", ".pth"}]


def test_the_delivered_network_is_smaller_and_was_measured_faster(finished):
    out, _ = finished
    rows = {row["name"]: row for row in json.loads((out / "result.json").read_text())["rows"]}
    assert rows["hwprune"]["latency_ms"] < 0.55 * rows["unpruned"]["latency_ms"]
    assert rows["hwprune"]["params"] < rows["unpruned"]["params"]
    assert rows["hwprune"]["macs"] < rows["unpruned"]["macs"]


def test_every_method_had_the_same_allowance(finished):
    out, _ = finished
    for method in json.loads((out / "result.json").read_text())["methods"]:
        assert 0 < method["evaluations"] <= 8, method


def test_the_delivered_module_loads_without_the_users_class_and_scores_as_reported(finished):
    import hwprune

    out, _ = finished
    task = classification(load_data("sklearn:digits", heldout=300, calibration=250))
    rows = {row["name"]: row for row in json.loads((out / "result.json").read_text())["rows"]}
    accuracy = accuracy_of(hwprune.load(out), task, "test")
    assert accuracy == pytest.approx(rows["hwprune"]["score_test"], abs=0.003)


def test_the_onnx_file_gives_what_the_module_gives(finished):
    import numpy as np
    import onnxruntime
    import torch

    import hwprune

    out, _ = finished
    images = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)
    session = onnxruntime.InferenceSession(out / "model.onnx")
    from_onnx = session.run(None, {session.get_inputs()[0].name: images})[0]
    with torch.inference_mode():
        from_torch = hwprune.load(out).eval()(torch.from_numpy(images)).numpy()
    assert np.abs(from_onnx - from_torch).max() / np.abs(from_torch).max() < 1e-4


def test_a_finished_run_is_not_overwritten(finished, environment):
    out, _ = finished
    again = CliRunner(env=environment).invoke(app, command(out)[3:])
    assert again.exit_code == 5
    assert "already holds a run" in again.stderr


@pytest.mark.heavy
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_resumes_and_does_nothing_twice(tmp_path, moment):
    out, store = tmp_path / "run", tmp_path / "readings.sqlite"
    environment = {**os.environ, "HWPRUNE_STORE": str(store)}
    _kill_at(command(out), out / moment, environment)
    before = _finished_work(out, store)
    done = subprocess.run(
        command(out, "--resume"), env=environment, capture_output=True, text=True
    )
    assert done.returncode in (0, 7), done.stderr[-3000:]
    after = _finished_work(out, store)
    for kind, finished in before.items():
        assert finished == after[kind][: len(finished)], kind


def _kill_at(arguments: list[str], sign: Path, environment: dict[str, str]) -> None:
    """Start a run and kill its whole process group a little after `sign` exists."""
    process = subprocess.Popen(
        arguments,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while not sign.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _finished_work(out: Path, store: Path) -> dict[str, list[str]]:
    """Everything that was finished, in order: readings, scores, and epochs by training."""
    work = {
        "readings": _rows(store, "SELECT reading_id FROM readings ORDER BY number"),
        "scores": _rows(
            out / "run.sqlite", "SELECT widths FROM score WHERE share = 1 ORDER BY rowid"
        ),
    }
    for history in out.rglob("history.jsonl"):
        work[str(history.relative_to(out))] = history.read_text().splitlines()
    return work


def _rows(file: Path, query: str) -> list[str]:
    if not file.exists():
        return []
    with sqlite3.connect(file) as db:
        return [str(row) for row in db.execute(query)]
