"""A scripted Jetson as users meet it: measure, doctor, boards check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from hwprune.cli.app import app
from tests.doubles.jetson_tree import GPU_MHZ, WATTS
from tests.hwprune_device.chain import chain
from tests.hwprune_device.runtimes.trt import troubled_jetson as troubled
from tests.jetsons import QUICK, TROUBLED, jetson_profile


def hwprune(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "chain.onnx"
    path.write_bytes(chain())
    return path


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return jetson_profile(tmp_path_factory.mktemp("orin"), protocol=QUICK)


def test_a_person_sees_clocks_memory_and_build_of_the_gpu(model: Path, profile: Path):
    done = hwprune("measure", model, "--board", profile, "--repeat", 1)
    assert done.exit_code == 0, done.stderr
    for part in (
        "trt 10.3.0, fp16, input 1x3x16x16",
        "runs on the host's clock, inputs and outputs on the GPU",
        "GPU alone",
        "with copies",
        "inputs and outputs 0.0031 MB",
        "of the GPU's memory",
        f"GPU at {GPU_MHZ} MHz",
        "MAXN_SUPER",
    ):
        assert part in done.stdout
    assert "thread" not in done.stdout.partition("\n")[0]
    again = hwprune("measure", model, "--board", profile, "--repeat", 1)
    assert "kept on the board since" in again.stdout


@pytest.mark.parametrize("release", ["10.3", "11.4"])
def test_int8_and_the_clock_of_the_gpu_are_the_profiles_choice(
    model: Path, release: str, tmp_path: Path
):
    wanted = {"precision": "int8", "options": 'latency = "device"', "protocol": QUICK}
    profile = jetson_profile(tmp_path, release=release, **wanted)
    done = hwprune("measure", model, "--board", profile, "--repeat", 2, "--json")
    assert done.exit_code == 0, done.stderr
    data = json.loads(done.stdout)
    for reading in data["readings"]:
        assert (reading["clock"], reading["target"]["precision"]) == ("device", "int8")
        assert reading["target"]["version"].startswith(release)
        assert reading["conditions"]["gpu_between"]["sm_mhz"]["median"] == GPU_MHZ
        assert not reading["doubts"]


def test_energy_is_that_of_the_boards_supply(model: Path, tmp_path: Path):
    profile = jetson_profile(tmp_path, protocol=QUICK + "energy_s = 0.3\n")
    done = hwprune("measure", model, "--board", profile, "--repeat", 1, "--json")
    data = json.loads(done.stdout)
    assert "INA3221" in data["energy_source"]
    # Watts times milliseconds; between inferences the host needs some time of its own.
    least_mj = WATTS * data["readings"][0]["device_ms"]
    assert 0.95 * least_mj <= data["energy_mj"] <= 4 * least_mj


def test_a_network_that_tensorrt_refuses_is_told_in_the_parsers_words(tmp_path: Path):
    model = tmp_path / "unknown.onnx"
    model.write_bytes(chain((troubled.UNKNOWN, 8, 8)))
    profile = jetson_profile(tmp_path, program=TROUBLED)
    done = hwprune("measure", model, "--board", profile)
    assert done.exit_code == 4
    assert "board 'orin' could not measure the network" in done.stderr
    said = " ".join(done.stderr.split())
    assert "at 'build': the unpruned network itself failed: TrtError: TensorRT cannot" in said
    assert "no importer for this one" in said and "Traceback" not in said


def test_the_doctor_finds_all_that_a_jetson_needs(profile: Path):
    done = hwprune("doctor", profile, "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 0, checks
    assert "Jetson Orin" in checks["reached"]["found"]
    assert checks["tensorrt"]["found"] == "tensorrt 10.3.0"
    assert checks["pycuda"]["state"] == "ok"
    assert checks["GPU"]["found"] == "integrated in tegra234, driver L4T 36.4.3"
    assert checks["power mode"]["found"] == "MAXN_SUPER"
    assert checks["board"]["found"].startswith("orin: trt 10.3.0")


def test_boards_list_and_check_know_it(profile: Path):
    listed = json.loads(hwprune("boards", "list", "--folder", profile.parent, "--json").stdout)
    (row,) = listed["boards"]
    assert (row["board"], row["kind"], row["runs"]) == ("orin", "orin", "trt, fp16")
    done = hwprune("boards", "check", "orin", "--folder", profile.parent, "--json")
    (result,) = json.loads(done.stdout)["boards"]
    assert done.exit_code == 0 and result["answers"] is True
    assert 0 < result["latency_ms"] < 1
