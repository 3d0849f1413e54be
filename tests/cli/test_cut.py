"""`hwprune cut`: a smaller network in a folder, whatever the network comes as."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

import hwprune
from hwprune import load
from hwprune.cli.app import app
from hwprune.network.zoo import digits_cnn
from tests.digits import digit_images
from tests.traced import relative, run_onnx, traced

NETWORK = ["hwprune.network.zoo:digits_cnn", "--input", "1x1x8x8"]


def _cut(*arguments: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, ["cut", *arguments])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The digits network as another exporter writes it: BatchNorm folded, names lost."""
    path = tmp_path_factory.mktemp("onnx") / "digits.onnx"
    torch.manual_seed(0)
    torch.onnx.export(
        digits_cnn().eval(), (torch.zeros(1, 1, 8, 8),), path, dynamo=False, opset_version=13
    )
    return path


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The digits network as hwprune traces it, which takes seconds: by file."""
    path = tmp_path_factory.mktemp("traced") / "digits.onnx"
    path.write_bytes(traced("digits_cnn").base.onnx)
    return str(path)


def test_half_a_network_in_a_folder(tmp_path):
    done = _cut(*NETWORK, "--keep", "0.5", "--out", str(tmp_path / "half"))
    assert done.exit_code == 0, done.stderr
    assert "parameters" in done.stdout and "equal" in done.stdout
    facts = json.loads((tmp_path / "half" / "cut.json").read_text())
    assert all(g["after"] == g["before"] // 2 for g in facts["groups"])
    assert facts["params"]["after"] < 0.3 * facts["params"]["before"]
    assert facts["gate"]["failed"] == [] and facts["gate"]["worst_error"] < 1e-8
    module = hwprune.load(tmp_path / "half")
    data = torch.randn(3, 1, 8, 8)
    with torch.inference_mode():
        given = run_onnx((tmp_path / "half" / "model.onnx").read_bytes(), data)
        assert relative(given, module(data).numpy()) < 1e-5


def test_an_onnx_file_alone_is_cut_by_what_it_answers_to_samples(file, tmp_path):
    np.save(tmp_path / "samples.npy", digit_images("train", 64).numpy())
    out = tmp_path / "half"
    done = _cut(
        *(str(file), "--keep", "0.5", "--out", str(out), "--json", "--quiet"),
        *("--saliency", "taylor", "--samples", str(tmp_path / "samples.npy")),
    )
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["params"]["after"] < 0.3 * facts["params"]["before"]
    onnx.checker.check_model(onnx.load(out / "model.onnx"))
    assert len(list(hwprune.load(out).parameters())) > 4


def test_a_width_of_0_takes_a_branch_away_and_nothing_else_can_have_it(digits, tmp_path):
    (tmp_path / "widths.json").write_text('{"block1.conv1": 0}')
    widths = ("--widths", str(tmp_path / "widths.json"))
    done = _cut(digits, *widths, "--out", str(tmp_path / "cut"), "--json")
    assert done.exit_code == 0, done.stderr
    loaded = load(tmp_path / "cut")
    assert loaded(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    left = {name for name, _ in loaded.named_parameters() if name.startswith("block1")}
    assert left == {"block1.conv2.bias"}
    (tmp_path / "widths.json").write_text('{"conv1": 0}')
    done = _cut(digits, *widths, "--out", str(tmp_path / "other"))
    assert done.exit_code == 2 and "1 to 24" in done.stderr


def test_widths_by_name_leave_the_rest_whole(digits, tmp_path):
    (tmp_path / "widths.json").write_text('{"conv3": 10}')
    out = tmp_path / "cut"
    widths = ("--widths", str(tmp_path / "widths.json"))
    done = _cut(digits, *widths, "--out", str(out), "--json")
    assert done.exit_code == 0, done.stderr
    changed = {g["name"]: g["after"] for g in json.loads(done.stdout)["groups"]}
    assert changed.pop("conv3") == 10
    assert changed == {"conv1": 24, "conv2": 48, "block1.conv1": 48, "block2.conv1": 48}


def test_multiples_and_patterns_hold(digits, tmp_path):
    out = tmp_path / "cut"
    rules = ("--multiple-of", "16", "--ignore", "block1.*", "--limit", "conv1:min_width=20")
    done = _cut(digits, "--keep", "0.6", *rules, "--out", str(out), "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert {g["name"]: g["after"] for g in facts["groups"]} == {
        "conv1": 24,
        "block2.conv1": 32,
        "conv3": 32,
    }
    assert any("asked for" in entry["reason"] for entry in facts["never_cut"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "by one share, or by a file"),
        (["--keep", "1.5"], "above 0 and up to 1"),
        (["--keep", "0.5", "--saliency", "luck"], "no saliency 'luck'"),
        (["--keep", "0.5", "--saliency", "taylor"], "looks at data"),
        (["--keep", "0.5", "--limit", "conv1"], "--limit cannot be read"),
        (["--widths", "nothing.json"], "no widths can be read"),
        (["--keep", "0.5", "--samples", "nothing.npy"], "no inputs are there"),
    ],
)
def test_wrong_settings_are_exit_code_2_and_write_nothing(arguments, said, digits, tmp_path):
    done = _cut(digits, *arguments, "--out", str(tmp_path / "cut"))
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "cut").exists()


def test_a_group_that_is_not_there_is_refused_with_near_names(digits, tmp_path):
    (tmp_path / "widths.json").write_text('{"conv33": 10}')
    done = _cut(digits, "--widths", str(tmp_path / "widths.json"), "--out", str(tmp_path / "c"))
    assert done.exit_code == 2
    assert "conv3" in done.stderr
