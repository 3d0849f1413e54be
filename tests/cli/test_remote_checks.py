"""The doctor's look at a board elsewhere: each thing that is wrong, and the line that mends it."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from hwprune.cli.checks.check import Check
from hwprune.cli.checks.mends import lacking
from hwprune.cli.checks.remote import examine_board, findings
from hwprune.errors import BoardError
from hwprune_device.conditions.quota import STOPPED
from hwprune_device.job import Target
from tests.cli.boards_of_a_lab import NOW, PI, survey_of
from tests.hwprune_device.recorded import jetson, raspberry_pi

GONE = {"imports": False, "error": "not installed"}
FINE = {"imports": True, "version": "1.0"}


def check(name: str, survey: dict) -> Check:
    return next(found for found in findings(PI, survey, NOW) if found.name == name)


def test_a_board_with_nothing_wrong_is_all_ok(tmp_path):
    survey = survey_of(
        raspberry_pi(tmp_path),
        clocks={"governors": ["performance"], "lowest_mhz": 600, "highest_mhz": 1500},
    )
    assert [c.name for c in findings(PI, survey, NOW) if c.state != "ok"] == []


def test_whatever_is_wrong_says_how_to_mend_it_in_one_line(tmp_path):
    survey = survey_of(
        jetson(tmp_path, mode=0, locked=False),
        packages=dict.fromkeys(("numpy", "onnx", "onnxruntime"), GONE),
        memory_mb={"ram": 900, "swap": 100},
        disk_free_mb={"home": 10, "tmp": 900},
        thermal_zones="unavailable",
        throttling={"now": [], "since_boot": ["throttled"], "counts": {}},
        clock=NOW - 3600,
        emulated=True,
    )
    wrong = [c for c in findings(PI, survey, NOW) if c.state != "ok"]
    assert {c.name for c in wrong} == {
        "numpy",
        "onnx",
        "onnxruntime",
        "processor",
        "governor",
        "power mode",
        "clocks",
        "temperature",
        "throttling",
        "memory",
        "disk",
        "clock",
    }
    assert all(c.mend and "\n" not in c.mend and "\n" not in c.found for c in wrong)


def test_missing_packages_are_one_command_through_ssh(tmp_path):
    packages = {"numpy": FINE, "onnx": GONE, "onnxruntime": GONE}
    found = check("onnx", survey_of(raspberry_pi(tmp_path), packages=packages))
    assert found.state == "fail"
    assert shlex.split(found.mend) == [
        "ssh",
        "-o",
        "Port=2",
        "pi@pi.local",
        "/usr/bin/python3 -m pip install onnx onnxruntime",
    ]


def test_where_pip_may_not_install_an_environment_is_made_and_named(tmp_path):
    python = {"executable": "/usr/bin/python3", "new_enough": True, "externally_managed": True}
    survey = survey_of(raspberry_pi(tmp_path), python=python, packages={"onnx": GONE})
    mend = check("onnx", survey).mend
    assert "-m venv /home/pi/hwprune-python" in mend
    assert 'python = "/home/pi/hwprune-python/bin/python"' in mend


def test_a_package_that_is_there_and_broken_is_installed_again(tmp_path):
    broken = {"imports": False, "error": "ImportError: libblas.so.3"}
    survey = survey_of(raspberry_pi(tmp_path), packages={"numpy": broken})
    found = check("numpy", survey)
    assert "libblas" in found.found and "--force-reinstall numpy" in found.mend


def test_a_python_that_is_too_old_is_all_that_is_said(tmp_path):
    survey = {"python": {"version": "3.6.9", "new_enough": False, "least": "3.10"}}
    states = {c.name: c.state for c in findings(PI, survey, NOW)}
    assert states == {"reached": "ok", "python": "fail"}


def test_a_jetson_below_its_highest_mode_is_told_its_number(tmp_path):
    found = check("power mode", survey_of(jetson(tmp_path, mode=1)))
    assert "25W" in found.found and "sudo nvpmodel -m 2" in found.mend


def test_locked_clocks_need_no_governor(tmp_path):
    assert check("governor", survey_of(jetson(tmp_path))).state == "ok"


def test_low_voltage_asks_for_another_supply(tmp_path):
    found = check("throttling", survey_of(raspberry_pi(tmp_path, flags="50000")))
    assert "under-voltage" in found.found and "supply" in found.mend


@pytest.mark.parametrize(("off_s", "said"), [(-3600, "3600 s behind"), (90, "90 s ahead of")])
def test_a_clock_that_is_off_by_more_than_a_minute_is_a_warning(tmp_path, off_s, said):
    found = check("clock", survey_of(raspberry_pi(tmp_path), clock=NOW + off_s))
    assert found.state == "warn" and said in found.found


def test_a_board_that_tells_nothing_fails_only_for_its_packages():
    states = {c.name: c.state for c in findings(PI, {}, NOW)}
    assert {name for name, state in states.items() if state == "fail"} == {
        "numpy",
        "onnx",
        "onnxruntime",
    }


def test_a_board_that_cannot_be_reached_is_one_finding(monkeypatch):
    def unreachable(board):
        raise BoardError("board 'lab-pi' does not answer", given="port 22: refused")

    monkeypatch.setattr("hwprune.farm.connections.survey", unreachable)
    (found,) = examine_board(PI)
    assert found.state == "fail" and "refused" in found.found
    assert "ssh -o Port=2 pi@pi.local" in found.mend


@pytest.mark.parametrize(
    ("driver", "target", "state", "said"),
    [
        ({}, Target(), None, ""),
        ({"name": "H100", "driver": "580.65"}, Target(runtime="trt"), "ok", "H100, driver 580.65"),
        ({}, Target(runtime="trt"), "fail", "none that a driver tells of"),
        ({"persistence": False}, Target(runtime="torch"), "warn", "sleeps while nobody uses it"),
        ({}, Target(runtime="torch"), None, ""),
    ],
)
def test_a_gpu_is_looked_at_where_networks_run_on_one(tmp_path, driver, target, state, said):
    survey = survey_of(raspberry_pi(tmp_path), gpu_driver=driver or "unavailable")
    found = [c for c in findings(replace(PI, target=target), survey, NOW) if c.name == "GPU"]
    assert [c.state for c in found] == ([state] if state else [])
    assert all(said in c.found and (c.mend or c.state == "ok") for c in found)


def test_what_a_board_may_lack_hangs_on_what_runs_networks_there():
    assert "onnxruntime" in lacking("onnxrt") and "pip install" in lacking("onnxrt")
    assert lacking("ncnn").endswith("&& pip install --force-reinstall --no-deps pnnx")
    assert "pycuda" in lacking("trt") and "onnxruntime" not in lacking("trt")


def test_an_onnx_runtime_is_told_with_what_it_reads_and_what_a_later_opset_needs(tmp_path):
    packages = {"onnxruntime": {"imports": True, "version": "1.17.3"}}
    found = check("onnxruntime", survey_of(raspberry_pi(tmp_path), packages=packages))
    assert found.state == "ok"
    assert found.found == (
        "onnxruntime 1.17.3, for networks up to opset 20 (opset 21: 1.18 or newer)"
    )


def test_an_onnx_runtime_that_is_too_old_for_what_is_exported_here_fails(tmp_path):
    packages = {"onnxruntime": {"imports": True, "version": "1.16.3"}}
    found = check("onnxruntime", survey_of(raspberry_pi(tmp_path), packages=packages))
    assert found.state == "fail"
    assert "up to opset 19; networks that are exported here are of opset 20" in found.found
    assert "needs onnxruntime 1.17 or newer" in found.found
    assert "pip install --upgrade onnxruntime" in found.mend


def test_a_quota_that_stopped_the_boards_processes_is_a_warning(tmp_path):
    told = {"now": [], "since_boot": [], "counts": {STOPPED: 48}}
    found = check("throttling", survey_of(raspberry_pi(tmp_path), throttling=told))
    assert found.state == "warn" and "in 48 periods" in found.found
    none = {"now": [], "since_boot": [], "counts": {STOPPED: 0}}
    assert check("throttling", survey_of(raspberry_pi(tmp_path), throttling=none)).state == "ok"


def test_a_temporary_folder_that_cannot_be_written_is_a_warning(tmp_path):
    disks = {"home": 9000, "tmp": "unavailable"}
    found = check("disk", survey_of(raspberry_pi(tmp_path), disk_free_mb=disks))
    assert found.state == "warn" and "no temporary folder can be written" in found.found
