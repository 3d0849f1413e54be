"""`hwprune inspect --board`: real profiles of real networks on this machine, or a table's word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwprune.board import load_board
from hwprune.channels.base import make_base
from hwprune.cli.app import app
from hwprune.tables.shelf import place_of
from hwprune.tables.table_file import write_table
from tests.farm.board_python import board_python
from tests.hwprune_device.chain import chain
from tests.jetsons import QUICK, jetson_profile
from tests.tables.tabled import macs_ms, table_of

PROFILE = 'connection = "local"\n[protocol]\nrounds = 5\nmax_rounds = 5\n'


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("HWPRUNE_TABLES", str(tmp_path / "tables"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "chain.onnx").write_bytes(chain((24, 32, 32), size=32))
    (tmp_path / "quick.toml").write_text(PROFILE)
    return tmp_path


def inspected(model: Path, board: Path, *more: str) -> dict:
    done = CliRunner().invoke(app, ["inspect", str(model), "--board", str(board), "--json", *more])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_every_layer_is_named_and_parts_add_up_to_the_undisturbed_whole(files):
    data = inspected(files / "chain.onnx", files / "quick.toml")
    board = data["board"]
    assert board["layers_from"] == "profile" and board["saves_from"] == "profile"
    assert {"conv0", "conv1", "conv2", "gemm"} <= {layer["layer"] for layer in board["layers"]}
    assert "" not in {layer["layer"] for layer in board["layers"]}
    parts = sum(layer["ms"] for layer in board["layers"])
    assert parts == pytest.approx(board["latency_ms"], abs=1e-6)
    assert parts == pytest.approx(board["parts_ms"] * board["scale"], abs=1e-6)
    convolutions = [layer["ms"] for layer in board["layers"] if layer["op"].startswith("Conv")]
    others = [layer["ms"] for layer in board["layers"] if "Conv" not in layer["op"]]
    assert min(convolutions) > max(others)
    for group in data["groups"]:
        assert group["half"] == group["width"] // 2
        assert 0 < group["saves_ms"] < group["ms"] < board["latency_ms"]


def test_a_person_sees_layers_both_sums_and_that_savings_are_an_estimate(files):
    arguments = ["inspect", str(files / "chain.onnx"), "--board", str(files / "quick.toml")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    for part in (
        "saves",
        "kernels",
        "undisturbed",
        "parts add up to",
        "an estimate in proportion",
    ):
        assert part in done.stdout
    assert "hwprune table build" in done.stdout and "time layers on quick" in done.stderr


@pytest.mark.heavy
def test_torch_tells_its_calls_at_the_batch_that_was_asked_for(files):
    options = '[target]\nruntime = "torch"\n[target.options]\ndevice = "cpu"\n'
    (files / "torch.toml").write_text(PROFILE + options)
    board = inspected(files / "chain.onnx", files / "torch.toml", "--batch", "2")["board"]
    assert board["target"]["batch"] == 2
    layers = {layer["layer"]: layer["op"] for layer in board["layers"]}
    assert layers["conv0"] == "Conv2d" and layers["gemm"] == "Linear"
    assert "relu" in layers.values()


def test_tensorrt_tells_the_layers_of_its_engine(files):
    profile = jetson_profile(files / "orin", protocol=QUICK)
    board = inspected(files / "chain.onnx", profile)["board"]
    assert {"conv0", "conv1", "conv2", "gemm"} <= {layer["layer"] for layer in board["layers"]}
    assert {"Conv, Relu"} <= {layer["op"] for layer in board["layers"]}


@pytest.mark.heavy
def test_a_board_without_a_profile_goes_by_a_table_and_says_how_to_get_one(files):
    profile = files / "inductor.toml"
    target = '[target]\nruntime = "torch"\n[target.options]\nmode = "inductor"\n'
    profile.write_text(f'cache = "{files}"\n{PROFILE}{target}')
    done = CliRunner().invoke(app, ["inspect", str(files / "chain.onnx"), "--board", str(profile)])
    assert "no latency table fits either; hwprune table build" in done.stdout
    assert (
        "in mode inductor torch runs all kernels in one call" in done.stdout
        and "saves" not in done.stdout
    )
    base = make_base((files / "chain.onnx").read_bytes())
    table = table_of(base, load_board(profile), costs=macs_ms(base))
    write_table(table, place_of(table))
    data = inspected(files / "chain.onnx", profile)
    assert (data["board"]["layers_from"], data["board"]["saves_from"]) == ("table", "table")
    assert data["board"]["table_built_at"] == table.built_at
    parts = sum(layer["ms"] for layer in data["board"]["layers"])
    assert parts == pytest.approx(data["board"]["latency_ms"], abs=1e-6)
    assert all(group["saves_ms"] > 0 for group in data["groups"])


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--threads", "1"], 2, "none is named"),
        (["--board", "nowhere"], 2, "nowhere"),
        (["--board", "this-machine", "--sensitivity"], 2, "one of the two"),
    ],
)
def test_what_cannot_be_is_refused(files, more, code, said):
    done = CliRunner().invoke(app, ["inspect", str(files / "chain.onnx"), *more])
    assert done.exit_code == code and said in done.stderr


def test_an_emulated_board_and_a_network_that_does_not_run_are_board_errors(files):
    import onnx

    python = board_python(files, "emulated")
    (files / "pretender.toml").write_text(f'connection = "local"\npython = "{python}"\n')
    arguments = ["--board", str(files / "pretender.toml")]
    done = CliRunner().invoke(app, ["inspect", str(files / "chain.onnx"), *arguments])
    assert done.exit_code == 4 and "is emulated" in done.stderr
    model = onnx.load_model_from_string(chain())
    model.graph.node[1].op_type, model.graph.node[1].domain = "Rleu", "of.my.own"
    model.opset_import.append(onnx.helper.make_opsetid("of.my.own", 1))
    (files / "odd.onnx").write_bytes(model.SerializeToString())
    arguments = ["--board", str(files / "quick.toml")]
    done = CliRunner().invoke(app, ["inspect", str(files / "odd.onnx"), *arguments])
    assert done.exit_code == 4 and "could not measure" in done.stderr
