"""The main job on a TensorRT board: the quickstart from the command line, engine and all."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime
from tests.digits import digit_images
from tests.doubles.scripted_tensorrt.plan import Plan
from tests.jetsons import jetson_profile
from tests.pipeline.deployments import SMALL, command

CLOCKED = 'budget.latency_ms={at_most = "70 %", clock = "device"}'
QUICKER = ("training.epochs=2", 'search.methods=["policy", "uniform"]')


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run: its exit code, what --json printed, and its folder."""

    code: int
    printed: dict[str, Any]
    folder: Path

    def json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())

    @property
    def engine(self) -> bytes:
        return (self.folder / "model.engine").read_bytes()


def prune(folder: Path, *overrides: str) -> Run:
    environment = {**os.environ, "HWPRUNE_STORE": str(folder / "store.sqlite")}
    words = command(folder / "run", overrides=(*SMALL, *QUICKER, *overrides))
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 7), done.stderr[-3000:]
    return Run(code=done.returncode, printed=json.loads(done.stdout), folder=folder / "run")


def images(count: int) -> np.ndarray:
    return digit_images("test", count).numpy()


def check_engine(run: Run, *, release: str, precision: str, error: float) -> None:
    """The engine in the folder is the delivered network, and says what it is good for."""
    facts = run.json("model.engine.json")
    assert facts["sha256"] == hashlib.sha256(run.engine).hexdigest()
    assert facts["bytes"] == {"engine": len(run.engine)}
    assert (facts["gpu"], facts["compute_capability"]) == ("Orin", "8.7")
    assert facts["tensorrt"].startswith(release)
    assert (facts["precision"], facts["batch"], facts["kind"]) == (precision, 1, "orin")
    (row,) = run.printed["engines"]
    assert (row["files"], row["sha256"]) == (["model.engine"], facts["sha256"])
    (read,) = [r for r in run.json("result.json")["engines"]]
    assert read == row
    inputs = images(4)
    (wanted,) = OnnxRuntime().run_network((run.folder / "model.onnx").read_bytes(), [inputs])
    model = Plan.from_bytes(run.engine).model
    found = np.concatenate(
        [OnnxRuntime().run_network(model, [inputs[n : n + 1]])[0] for n in range(4)]
    )
    assert np.abs(found - wanted).max() <= error * np.abs(wanted).max()


def check_certificate(run: Run, *, precision: str) -> None:
    """The budget was kept on the clock that it names."""
    assert run.code == 0
    (finding,) = run.json("certificate.json")["findings"]
    assert (finding["label"], finding["status"]) == ("latency_ms (device)", "PASS")
    assert " ms keeps the limit of " in finding["words"]
    rows = {row["name"]: row for row in run.printed["rows"]}
    assert rows["hwprune"]["latency_ms"] <= 0.7 * rows["unpruned"]["latency_ms"]
    for final in run.json("result.json")["final_readings"]:
        reading = final["reading"]
        assert (reading["clock"], reading["target"]["precision"]) == ("device", precision)
        assert reading["target"]["options"] == {"latency": "device"}
        assert reading["conditions"]["engine"] and reading["conditions"]["build"]["seconds"] > 0


@pytest.mark.heavy
def test_a_network_is_pruned_for_a_jetson_and_its_engine_is_delivered(tmp_path: Path):
    # TensorRT 11 computes as the graph says, so outputs are really those of fp16.
    profile = jetson_profile(tmp_path, release="11.4")
    run = prune(tmp_path, CLOCKED, f"board.profile={str(profile)!r}")
    check_certificate(run, precision="fp16")
    check_engine(run, release="11.4", precision="fp16", error=1e-2)
    (agreement,) = run.printed["agreement"]["boards"]
    assert 0 < agreement["error"] <= agreement["tolerance"] == 1e-2
    assert agreement["share"] == 1.0
    assert agreement["score"] == pytest.approx(agreement["score_fp32"], abs=0.01)
    report = (run.folder / "report.html").read_text()
    for part in ("model.engine", "Orin and TensorRT 11.4", "latency_ms (device)", "orin in fp16"):
        assert part in report
    assert not (run.folder / "model.int8.onnx").exists()


@pytest.mark.heavy
@pytest.mark.parametrize("release", ["10.3", "11.4"])
def test_int8_is_delivered_with_the_ranges_of_real_images(tmp_path: Path, release: str):
    profile = jetson_profile(tmp_path, release=release, precision="int8")
    run = prune(tmp_path, CLOCKED, f"board.profile={str(profile)!r}")
    check_certificate(run, precision="int8")
    check_engine(run, release=release, precision="int8", error=0.1)
    (agreement,) = run.printed["agreement"]["boards"]
    assert 0 < agreement["error"] <= agreement["tolerance"] == 0.1
    assert agreement["score"] == pytest.approx(agreement["score_fp32"], abs=0.03)
    quantised = (run.folder / "model.int8.onnx").read_bytes()
    (found,) = OnnxRuntime().run_network(quantised, [images(4)])
    (wanted,) = OnnxRuntime().run_network((run.folder / "model.onnx").read_bytes(), [images(4)])
    assert 0 < np.abs(found - wanted).max() <= 0.1 * np.abs(wanted).max()


@pytest.mark.heavy
def test_of_two_kinds_each_has_the_engine_that_its_boards_build(tmp_path: Path):
    orin = jetson_profile(tmp_path)
    deployment = tmp_path / "two.toml"
    text = (Path(__file__).parents[2] / "profiles/deployments/quickstart.toml").read_text()
    (tmp_path / "pi.toml").write_text('connection = "local"\n[target]\nruntime = "ncnn"\n')
    boards = f'profiles = ["{orin}", "{tmp_path / "pi.toml"}"]'
    text = text.replace('profile = "../boards/this-machine.toml"', boards)
    limit = '[budget.orin]\nlatency_ms = { at_most = "70 %", clock = "device" }\n'
    limit += '[budget.pi]\nlatency_ms = "90 %"'
    old = 'latency_ms = "50 %"      # of the unpruned network\'s own, measured'
    assert old in text
    deployment.write_text(text.replace("[budget]\n" + old, limit))
    environment = {**os.environ, "HWPRUNE_STORE": str(tmp_path / "store.sqlite")}
    words = command(tmp_path / "run", overrides=(*SMALL, *QUICKER))
    words[4] = str(deployment)
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 7), done.stderr[-3000:]
    rows = {row["kind"]: row for row in json.loads(done.stdout)["engines"]}
    assert rows["orin"]["files"] == ["model-orin.engine"]
    assert rows["pi"]["files"] == ["model-pi.ncnn.param", "model-pi.ncnn.bin"]
    assert all(
        (tmp_path / "run" / file).is_file() for row in rows.values() for file in row["files"]
    )
    assert rows["pi"]["made_for"].startswith("ncnn 1.")
    boards = {b["kind"]: b for b in json.loads(done.stdout)["agreement"]["boards"]}
    assert boards["pi"]["precision"] == "fp32"
    assert boards["pi"]["score"] is None
