"""`hwprune measure`: a real reading of a real file on this machine, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from hwprune.board import Board, this_machine
from hwprune.channels.base import make_base
from hwprune.cli.app import app
from hwprune.cli.checks.board import tiny_network
from hwprune.cli.measure import _show
from hwprune.errors import InputError
from hwprune.pipeline.measure import Measured, fit
from hwprune_device.job import Target
from hwprune_device.reading import Memory, Reading
from tests.farm.board_python import board_python
from tests.report.sample_certificate import make_reading

# Few rounds: these tests ask whether it measures, not how well.
PROFILE = """
connection = "local"
[protocol]
rounds = 5
max_rounds = 5
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "tiny.onnx").write_bytes(tiny_network())
    (tmp_path / "quick.toml").write_text(PROFILE)
    return tmp_path


def test_readings_come_as_json_with_interval_quantiles_and_conditions(files):
    arguments = [str(files / "tiny.onnx"), "--board", str(files / "quick.toml"), "--repeat", "2"]
    done = CliRunner().invoke(app, ["measure", *arguments, "--json"])
    assert done.exit_code == 0, done.stderr
    data = json.loads(done.stdout)
    assert 0 <= data["low_ms"] <= data["latency_ms"] <= data["high_ms"] < 50
    quantiles = [data["quantiles_ms"][name]["value"] for name in ("p50", "p90", "p95")]
    assert quantiles == sorted(quantiles)
    readings = [Reading.from_json(reading) for reading in data["readings"]]
    assert len({reading.batch_id for reading in readings}) == 2
    assert all(reading.conditions for reading in readings)
    assert data["memory_mb"] == pytest.approx(readings[0].memory.peak_mb)
    # 8 x 8 kernels of 3 x 3 floats and at least two maps of 8 x 16 x 16: nothing less runs it.
    least = (576 + 2 * 2048) * 4 / 1e6
    assert least <= data["memory_mb"] <= 3 * least


def test_a_person_sees_latency_memory_build_time_and_conditions(files):
    arguments = [str(files / "tiny.onnx"), "--board", str(files / "quick.toml"), "--repeat", "1"]
    done = CliRunner().invoke(app, ["measure", *arguments])
    assert done.exit_code == 0, done.stderr
    for part in ("latency", "95 % interval", "p95", "memory", "build", "conditions", "input 1x8x"):
        assert part in done.stdout


def test_energy_is_shown_where_it_was_asked_for_with_its_source_or_why_there_is_none(files):
    (files / "energy.toml").write_text(PROFILE + "energy_s = 0.1\n")
    arguments = [str(files / "tiny.onnx"), "--board", str(files / "energy.toml"), "--repeat", "1"]
    done = CliRunner().invoke(app, ["measure", *arguments])
    assert done.exit_code == 0, done.stderr
    assert "energy" in done.stdout and "source" in done.stdout
    there = [replace(make_reading("a" * 64, 2.0), energy_mj=mj) for mj in (3.0, None, 5.0)]
    assert Measured(board=this_machine(), readings=tuple(there)).to_json()["energy_mj"] == 4.0
    assert (
        Measured(board=this_machine(), readings=tuple(there[1:2])).to_json()["energy_mj"] is None
    )


def test_memory_that_the_runtime_does_not_tell_is_said_to_be_untold(capsys):
    base = make_base(tiny_network())
    untold = replace(
        make_reading("a" * 64, 2.0), memory=Memory(weights_mb=0.5, activations_mb=None)
    )
    assert Measured(board=this_machine(), readings=tuple([untold])).to_json()["memory_mb"] is None
    _show(Measured(board=this_machine(), readings=(untold,)), base, "tiny.onnx")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("memory")]
    assert line.split(maxsplit=1)[1] == "not told by this runtime; weights 0.500 MB"


def test_a_board_of_torch_is_measured_like_any_other(files):
    profile = '[target]\nruntime = "torch"\n[target.options]\ndevice = "cpu"\n'
    (files / "torch.toml").write_text(PROFILE + profile)
    arguments = [str(files / "tiny.onnx"), "--board", str(files / "torch.toml"), "--repeat", "1"]
    done = CliRunner().invoke(app, ["measure", *arguments, "--json"])
    assert done.exit_code == 0, done.stderr
    (reading,) = map(Reading.from_json, json.loads(done.stdout)["readings"])
    assert reading.target["runtime"] == "torch" and reading.latency_ms > 0


def test_a_file_that_is_not_there_names_its_neighbours(files):
    done = CliRunner().invoke(app, ["measure", str(files / "tyni.onnx")])
    assert done.exit_code == 2
    assert "tiny.onnx" in done.stderr


@pytest.mark.parametrize("content", [b"", b"not a model at all"])
def test_a_file_that_is_no_model_is_refused(files, content):
    (files / "bad.onnx").write_bytes(content)
    done = CliRunner().invoke(app, ["measure", str(files / "bad.onnx")])
    assert done.exit_code == 2
    assert "error:" in done.stderr


def test_an_unknown_key_in_a_board_profile_is_refused(files):
    (files / "odd.toml").write_text('colour = "red"\n')
    done = CliRunner().invoke(
        app, ["measure", str(files / "tiny.onnx"), "--board", str(files / "odd.toml")]
    )
    assert done.exit_code == 2
    assert "colour" in done.stderr


def test_a_network_that_the_board_cannot_run_is_a_board_error(files):
    import onnx

    model = onnx.load_model_from_string(tiny_network())
    model.graph.node[1].op_type, model.graph.node[1].domain = "Rleu", "of.my.own"
    model.opset_import.append(onnx.helper.make_opsetid("of.my.own", 1))
    (files / "odd.onnx").write_bytes(model.SerializeToString())
    done = CliRunner().invoke(app, ["measure", str(files / "odd.onnx"), "--repeat", "1"])
    assert done.exit_code == 4
    assert "could not measure" in done.stderr and "Rleu" in done.stderr


def test_an_emulated_board_is_refused_before_anything_is_timed(files):
    python = board_python(files, "emulated")
    (files / "pretender.toml").write_text(f'connection = "local"\npython = "{python}"\n')
    arguments = [str(files / "tiny.onnx"), "--board", str(files / "pretender.toml")]
    done = CliRunner().invoke(app, ["measure", *arguments])
    assert done.exit_code == 4
    assert "board 'pretender' is emulated: its times say nothing about hardware" in done.stderr
    assert "ms" not in done.stdout


def test_a_fixed_batch_cannot_be_changed():
    base = make_base(tiny_network())
    with pytest.raises(InputError, match="fixed"):
        fit(this_machine(), base, None, 4)
    assert fit(this_machine(), base, None, None).target.batch == 1


def test_more_threads_get_as_many_cores_and_never_more_than_there_are():
    import os

    base = make_base(tiny_network())
    there = len(os.sched_getaffinity(0))
    fitted = fit(this_machine(), base, there, None)
    assert fitted.target.threads == len(fitted.cores) == there
    with pytest.raises(InputError, match="fewer cores"):
        fit(this_machine(), base, there + 1, None)


def test_fewer_threads_stay_on_the_boards_own_cores():
    board = Board(name="b", cores=(0, 1), target=Target(threads=2))
    assert fit(board, make_base(tiny_network()), 1, None).cores == (1,)


def test_a_profiles_cores_stay_as_they_are_where_no_threads_are_asked_for():
    """As in a search, which reads a network of one thread on any of these cores."""
    board = Board(name="b", cores=(0, 1), target=Target(threads=1))
    assert fit(board, make_base(tiny_network()), None, None).cores == (0, 1)


def test_doubts_of_several_readings_are_said_once():
    readings = [make_reading("a" * 64, 2.0, seed=n, doubts=("drift",)) for n in range(3)]
    data = Measured(
        board=this_machine(),
        readings=tuple([*readings, replace(readings[0], doubts=("drift", "steal"))]),
    ).to_json()
    assert data["doubts"] == ["drift", "steal"]


def test_cores_of_a_board_elsewhere_are_its_own_matter():
    base = make_base(tiny_network())
    far = Board(name="b", connection="ssh", host="b", cores=(6, 7), target=Target(threads=2))
    assert fit(far, base, None, None).cores == (6, 7)
    many = fit(far, base, 12, None)
    assert many.target.threads == 12 and many.core_list == "last"
