"""A Jetson's chip, the clock of its GPU, and its release, from recorded boards."""

from __future__ import annotations

import pytest

from hwprune_device.conditions import tegra
from hwprune_device.conditions.sysfs import UNAVAILABLE
from tests.hwprune_device.recorded import jetson, laptop, raspberry_pi, write


def test_a_jetson_is_told_from_others_by_its_device_tree(tmp_path):
    assert tegra.chip(jetson(tmp_path / "j")) == "tegra234"
    assert tegra.chip(raspberry_pi(tmp_path / "p")) == tegra.chip(laptop(tmp_path / "l")) == ""


def test_a_locked_gpu_has_one_clock(tmp_path):
    clock = tegra.gpu_clock(jetson(tmp_path))
    assert clock.now_mhz == clock.pinned_mhz == 1020


def test_a_free_gpu_has_a_range(tmp_path):
    clock = tegra.gpu_clock(jetson(tmp_path, locked=False, gpu_mhz=306))
    assert (clock.now_mhz, clock.lowest_mhz, clock.highest_mhz) == (306, 306, 1020)
    assert clock.pinned_mhz is None


@pytest.mark.parametrize("name", ["17000000.ga10b", "17000000.gv11b", "57000000.gpu"])
def test_kernels_call_the_gpu_s_folder_differently(tmp_path, name):
    folder = f"sys/class/devfreq/{name}"
    write(tmp_path, {f"{folder}/cur_freq": "624750000\n", f"{folder}/max_freq": "1300500000\n"})
    clock = tegra.gpu_clock(tmp_path)
    assert (clock.now_mhz, clock.lowest_mhz, clock.highest_mhz) == (625, None, 1300)


def test_the_release_names_the_driver(tmp_path):
    assert tegra.release(jetson(tmp_path)) == "L4T 36.4.3"
    assert tegra.release(tmp_path / "elsewhere") == UNAVAILABLE


def test_the_memory_s_clock_is_told_where_it_may_be_read(tmp_path):
    assert tegra.memory_mhz(jetson(tmp_path)) == 3199
    assert tegra.memory_mhz(tmp_path / "elsewhere") is None
    assert tegra.gpu_clock(tmp_path / "elsewhere") is None
