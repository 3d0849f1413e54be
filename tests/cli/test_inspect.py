"""`hwprune inspect`: groups, coupling, costs and what is frozen."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app
from tests.channels.small_graphs import conv_net
from tests.traced import traced

SOURCE = "hwprune.network.zoo:cifar_resnet20"


@pytest.fixture(scope="module")
def resnet20(tmp_path_factory):
    """A traced ResNet-20 as an .onnx file."""
    path = tmp_path_factory.mktemp("models") / "resnet20.onnx"
    path.write_bytes(traced("cifar_resnet20").base.onnx)
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


def test_what_was_tried_once_is_shown_from_then_on(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "faint.onnx"
    path.write_bytes(faint())
    before = CliRunner().invoke(app, ["inspect", str(path)])
    tried = CliRunner().invoke(app, ["inspect", str(path), "--try"])
    after = CliRunner().invoke(app, ["inspect", str(path)])
    assert before.exit_code == tried.exit_code == after.exit_code == 0, tried.output
    assert "not yet" in before.stdout and "hardly moves the outputs" not in before.stdout
    for done in (tried, after):
        assert "random cuts agree" in done.stdout
        assert "mid: it hardly moves the outputs" in done.stdout
    data = json.loads(CliRunner().invoke(app, ["inspect", str(path), "--json"]).stdout)
    assert "mid" in data["gate"]["unjudged"]
    assert "mid" not in [group["name"] for group in data["groups"]]


def faint() -> bytes:
    """A network with a branch that a constant makes too small to be seen."""
    body = (
        "b = Conv(a, mid.weight) c = Conv(b, up.weight)"
        " k = Constant<value_float=1.0e-9>() d = Mul(c, k) z = Add(a, d)"
    )
    shapes = {"mid.weight": (6, 8, 1, 1), "up.weight": (8, 6, 1, 1), "last.weight": (4, 8, 1, 1)}
    return conv_net(body, shapes)


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
