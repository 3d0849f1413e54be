"""A network that exists only as an ONNX file is searched, fine-tuned, delivered and certified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import hwprune
from hwprune.network.graph_module import to_module
from tests.digits import digit_data, digit_example, trained_digits_base

DEPLOYMENT = """
[network]
source = "digits.onnx"
[data]
source = "sklearn:digits"
heldout = 300
[board]
profile = "board.toml"
[budget]
latency_ms = "60 %"
[search]
evaluations = 8
finalists = 1
methods = ["random", "uniform"]
[delivery]
certificate_readings = 2
[finetune]
"""


def _pruned(folder: Path, finetune: str) -> tuple[Path, dict[str, Any]]:
    """Run folder and result of pruning the digits network as another exporter writes it."""
    _export(folder / "digits.onnx")
    (folder / "board.toml").write_text('name = "here"\n')
    (folder / "digits.toml").write_text(DEPLOYMENT + finetune)
    return _run(folder, str(folder / "digits.toml"))


def _export(path: Path) -> None:
    torch.onnx.export(
        *(to_module(trained_digits_base().onnx), (digit_example(),), path),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["scores"],
        dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}},
    )


def _run(folder: Path, *arguments: str) -> tuple[Path, dict[str, Any]]:
    command = (sys.executable, "-m", "hwprune", "prune", *arguments, "--quiet")
    store = {"HWPRUNE_STORE": str(folder / "readings.sqlite")}
    done = subprocess.run(
        [*command, "--json", "--out", str(folder / "run")],
        env={**os.environ, **store},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 7), done.stderr[-3000:]
    return folder / "run", json.loads(done.stdout)


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_is_pruned_without_any_training_code(tmp_path):
    run, result = _pruned(tmp_path, "epochs = 4")
    rows = {row["name"]: row for row in result["rows"]}
    found = rows["hwprune"]
    assert found["params"] < 0.9 * rows["unpruned"]["params"]
    assert found["score_test"] > found["score_heldout_before_finetune"] + 0.1
    with torch.inference_mode():
        assert hwprune.load(run)(digit_example()).shape == (1, 10)


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
def test_a_training_that_spoils_the_network_is_not_delivered_and_said(tmp_path):
    """A learning rate far too high."""
    _, result = _pruned(tmp_path, "epochs = 1\nlr = 2.0")
    found = next(row for row in result["rows"] if row["name"] == "hwprune")
    assert found["score_test"] > found["score_heldout_before_finetune"] - 0.1
    assert any("fine-tuning made hwprune worse" in doubt for doubt in result["doubts"])


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_and_a_folder_of_images_are_enough(tmp_path):
    """No labels, no training code, no TOML."""
    from sklearn.datasets import load_digits

    _export(tmp_path / "digits.onnx")
    frames = tmp_path / "frames"
    frames.mkdir()
    for index, scan in enumerate(load_digits().images[:400]):
        Image.fromarray((scan * 15.9375).astype("uint8")).save(frames / f"{index:03}.png")
    pixels = digit_data().part("test").normalise  # type: ignore[attr-defined]
    run, result = _run(
        tmp_path,
        *(str(tmp_path / "digits.onnx"), "--inputs", f"{frames}/*.png", "--latency", "60 %"),
        *(f"--mean={pixels.mean[0]}", f"--std={pixels.std[0]}", "--set", "search.evaluations=8"),
        *("--set", 'search.methods=["random", "uniform"]', "--set", "search.finalists=1"),
        *("--set", "delivery.certificate_readings=2", "--set", "finetune.epochs=2"),
    )
    rows = {row["name"]: row for row in result["rows"]}
    found = rows["hwprune"]
    assert result["metric"]["name"] == "agreement"
    assert found["params"] < 0.9 * rows["unpruned"]["params"]
    assert found["score_test"] > found["score_heldout_before_finetune"]
    with torch.inference_mode():
        assert hwprune.load(run)(digit_example()).shape == (1, 10)
