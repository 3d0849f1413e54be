"""Clocks: what is promised to a busy core, and which cores are alike."""

from __future__ import annotations

from hwprune_device.conditions.clocks import clusters, core_clock, core_clocks
from hwprune_device.conditions.sysfs import UNAVAILABLE
from tests.hwprune_device.recorded import CPU, core, jetson, laptop, raspberry_pi, write


def test_a_free_clock_promises_nothing(tmp_path):
    clock = core_clock(3, raspberry_pi(tmp_path))
    assert (clock.now_mhz, clock.highest_mhz, clock.governor) == (1500, 1500, "ondemand")
    assert clock.pinned_mhz is None and clock.due_mhz is None


def test_a_pinned_clock_is_due_whatever_the_governor(tmp_path):
    clock = core_clock(0, jetson(tmp_path))
    assert clock.pinned_mhz == clock.due_mhz == 1728


def test_with_turbo_only_the_sustained_clock_is_due(tmp_path):
    assert core_clock(0, laptop(tmp_path)).due_mhz == 2500


def test_without_turbo_the_highest_clock_is_due_under_performance(tmp_path):
    write(tmp_path, core(0, now=600, low=600, high=1800, most=1800, governor="performance"))
    assert core_clock(0, tmp_path).due_mhz == 1800


def test_a_machine_without_cpufreq_tells_nothing(tmp_path):
    (clock,) = core_clocks([0], tmp_path)
    assert clock.now_mhz is None and clock.due_mhz is None
    assert clock.governor == UNAVAILABLE
    assert clusters(tmp_path) == []


def test_cores_of_one_capacity_and_clock_are_a_cluster_the_fastest_first(tmp_path):
    for number, capacity, most in ((0, 400, 1800), (1, 400, 1800), (2, 1024, 2400)):
        write(tmp_path, core(number, now=1, low=1, high=most, most=most, governor="x"))
        write(tmp_path, {f"{CPU}/cpu{number}/cpu_capacity": f"{capacity}\n"})
    # A Jetson's smaller power modes switch cores off.
    write(tmp_path, {f"{CPU}/cpu3/online": "0\n"})
    assert clusters(tmp_path) == [
        {"cores": [2], "capacity": 1024, "max_mhz": 2400},
        {"cores": [0, 1], "capacity": 400, "max_mhz": 1800},
    ]
