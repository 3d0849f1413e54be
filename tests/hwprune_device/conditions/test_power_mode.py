"""The power mode: a Jetson's by name, an x86 machine's profile and turbo."""

from __future__ import annotations

import pytest

from hwprune_device.conditions.power_mode import PowerMode, power_mode
from hwprune_device.conditions.sysfs import UNAVAILABLE
from tests.hwprune_device.recorded import CPU, jetson, laptop, program, raspberry_pi, write


@pytest.mark.parametrize(
    ("mode", "name", "highest"), [(0, "15W", False), (2, "MAXN_SUPER", True), (9, "mode 9", False)]
)
def test_a_jetsons_mode_has_the_name_that_its_configuration_gives(tmp_path, mode, name, highest):
    found = power_mode(jetson(tmp_path, mode=mode))
    assert found.nvpmodel == name
    assert found.is_highest is highest
    assert found.nvpmodel_highest == "2"


def test_clocks_are_locked_only_when_cores_and_gpu_are(tmp_path):
    assert power_mode(jetson(tmp_path)).text == "nvpmodel MAXN_SUPER, clocks locked"
    write(tmp_path, {"sys/class/devfreq/17000000.gpu/min_freq": "306000000\n"})
    assert power_mode(tmp_path).clocks_locked is False


def test_without_its_note_nvpmodel_is_asked(tmp_path):
    jetson(tmp_path)
    (tmp_path / "var/lib/nvpmodel/status").unlink()
    program(tmp_path, "nvpmodel", "NV Fan Mode:cool\nNV Power Mode: 25W\n1")
    assert power_mode(tmp_path).nvpmodel == "25W"


def test_an_x86_machine_has_a_profile_and_turbo(tmp_path):
    assert power_mode(laptop(tmp_path)).text == "platform profile balanced, turbo on"
    write(tmp_path, {f"{CPU}/intel_pstate/no_turbo": "1\n"})
    assert power_mode(tmp_path).turbo is False


def test_boost_of_other_drivers_is_turbo_too(tmp_path):
    write(tmp_path, {f"{CPU}/cpufreq/boost": "0\n"})
    assert power_mode(tmp_path).text == "turbo off"


def test_a_board_without_power_modes_has_none(tmp_path):
    found = power_mode(raspberry_pi(tmp_path))
    assert found.text == UNAVAILABLE
    assert found.is_highest is None and found.clocks_locked is None


def test_of_two_modes_without_limits_the_super_one_is_the_highest():
    modes = {"0": "MAXN", "1": "MAXN_SUPER", "2": "15W"}
    assert PowerMode(nvpmodel="MAXN", nvpmodel_modes=modes).is_highest is False
