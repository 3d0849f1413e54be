"""`hwprune inspect`: groups, coupling, costs and what is frozen."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app

SOURCE = "hwprune.network.zoo:cifar_resnet20"


@pytest.fixture(scope="module")
def resnet20(tmp_path_factory):
    """A traced ResNet-20 as an .onnx file."""
    from hwprune.network.graph_source import load_graph

    path = tmp_path_factory.mktemp("models") / "resnet20.onnx"
    path.write_bytes(load_graph(SOURCE, shapes=[(1, 3, 32, 32)]).onnx)
    return path


def test_it_shows_each_group_with_width_coupling_and_share(resnet20):
    done = CliRunner().invoke(app, ["inspect", str(resnet20)])
    assert done.exit_code == 0, done.output
    row = next(line for line in done.stdout.splitlines() if "layer2.1.conv1" in line.split()[:1])
    assert row.split()[1] == "32" and "layer2.1.conv2" in row and row.rstrip().endswith("%")
    assert "never cut" in done.stdout and "linear: " in done.stdout
    assert "for one input of 1x3x32x32" in done.stdout


def test_json_agrees_with_the_network(resnet20):
    data = json.loads(CliRunner().invoke(app, ["inspect", str(resnet20), "--json"]).stdout)
    assert data["params"] == pytest.approx(270_000, rel=0.02)
    assert data["macs"] == pytest.approx(40.8e6, rel=0.02)
    stem = data["groups"][0]
    assert stem["width"] == 16 and stem["macs_share"] == max(
        group["macs_share"] for group in data["groups"]
    )
    assert 0.9 < data["macs_share_cuttable"] < 1
    assert data["frozen"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.onnx"], "is not there"),
        ([SOURCE], "input shape is not known"),
        ([SOURCE, "--input", "3,32"], "--input is no shape"),
        ([SOURCE, "--input", "1x0x3"], "--input is no shape"),
        (["no.such.module:f", "--input", "1x3x8x8"], "no.such.module"),
    ],
)
def test_wrong_input_is_exit_code_2_and_says_what_is_possible(arguments, said):
    done = CliRunner().invoke(app, ["inspect", *arguments])
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_file_that_is_no_onnx_model_is_said_so(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("this is not a model")
    done = CliRunner().invoke(app, ["inspect", str(path)])
    assert done.exit_code == 2
    assert "no ONNX model" in done.stderr


DIGITS = ["inspect", "hwprune.network.zoo:digits_cnn", "--sensitivity", "--data", "sklearn:digits"]


def test_sensitivity_draws_the_share_of_low_rank_maps_of_each_layer():
    done = CliRunner().invoke(app, [*DIGITS, "--threshold", "0"])
    assert done.exit_code == 0, done.output
    row = next(line for line in done.stdout.splitlines() if "conv1" in line.split()[:1])
    assert "8x8" in row and "%" in row and ("█" in row or "·" in row)
    assert "sensitive groups" in done.stdout


def test_sensitivity_as_json_says_what_each_reading_keeps():
    every = [*DIGITS, "--json", "--low-rank", "1", "--threshold", "0"]
    kept = {}
    for reading in ("rank", "protect"):
        done = CliRunner().invoke(app, [*every, "--reading", reading])
        data = json.loads(done.stdout)
        kept[reading] = sum(group["kept"] for group in data["sensitive_groups"])
        assert all(0 <= layer["low_rank_share"] <= 1 for layer in data["layers"])
    assert kept["rank"] < kept["protect"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*DIGITS[:3]], "no data is named"),
        ([*DIGITS, "--threshold", "3"], "--threshold is a share"),
        ([*DIGITS, "--mean", "half"], "--mean is no list"),
        ([*DIGITS[:-1], "sklearn:faces"], "unknown data"),
    ],
)
def test_sensitivity_that_cannot_be_is_refused(arguments, said):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2 and said in done.stderr
