"""Networks that nobody here wrote are cut exactly: a sample of the zoo's benchmark."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.venvs import make_venv

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
SAMPLE = (
    "timm:resnetv2_18",
    "timm:lambda_resnet26t",
    "smp:Unet/resnet18",
    "smp:PSPNet/resnet18",
    "hf:bert",
    "hf:llama",
    "yolo:yolov8n.yaml",
    "yolo:yolo11n.yaml",
    "tv:shufflenet_v2_x0_5",
    "tv:video.mc3_18",
    "onnx:nudenet==*",
    "onnx:silero-vad==*16k_op15*",
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the benchmark finds, by network, in an environment with the strangers' packages."""
    folder = tmp_path_factory.mktemp("strangers")
    wanted = ROOT / "tests/benchmarks/strangers-requirements.txt"
    python = make_venv(folder / "venv", "-r", str(wanted), sees_ours=True)
    out = folder / "rows.jsonl"
    bench = ("-m", "tests.benchmarks.bench_zoo", "--out", out, "--only", *SAMPLE)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'devices'}:{ROOT}"}
    subprocess.run([python, *bench], check=True, cwd=ROOT, env=environment)
    return {row["name"]: row for row in map(json.loads, out.open())}


def test_strangers_networks_are_cut_exactly(rows):
    assert len(rows) == len(SAMPLE)
    assert {name: row["outcome"] for name, row in rows.items()} == dict.fromkeys(rows, "exact")


def test_nearly_all_of_them_can_be_cut_or_says_what_cannot(rows):
    for name, row in rows.items():
        assert row["macs_cuttable"] >= 0.9 or row["frozen"], name
    # Encoders of text give their residual stream out, which stays whole.
    assert sum(row["macs_cuttable"] >= 0.89 for row in rows.values()) >= 10
