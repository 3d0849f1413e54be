"""Throttling: flags and counters of three kinds of boards, in words."""

from __future__ import annotations

import pytest

from hwprune_device.conditions.sysfs import UNAVAILABLE
from hwprune_device.conditions.throttling import throttling
from tests.hwprune_device.recorded import jetson, laptop, program, raspberry_pi, write


@pytest.mark.parametrize(
    ("flags", "now", "since_boot"),
    [
        ("0", (), ()),
        ("50000", (), ("under-voltage", "throttled")),
        ("0x50005", ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        ("80008", ("soft temperature limit",), ("soft temperature limit",)),
        ("20002", ("clock capped",), ("clock capped",)),
    ],
)
def test_a_raspberry_pis_flags_become_words(tmp_path, flags, now, since_boot):
    found = throttling([0], raspberry_pi(tmp_path, flags=flags))
    assert found.known
    assert (found.now, found.since_boot) == (now, since_boot)


def test_low_voltage_alone_is_told_but_takes_no_speed(tmp_path):
    found = throttling([0], raspberry_pi(tmp_path, flags="5"))
    assert found.now == ("under-voltage", "throttled")
    assert found.slowing == ("throttled",)


def test_without_the_file_vcgencmd_is_asked(tmp_path):
    program(tmp_path, "vcgencmd", "throttled=0x50000")
    found = throttling([0], tmp_path)
    assert found.known and found.since_boot == ("under-voltage", "throttled")


def test_the_kernels_voltage_alarm_is_used_when_there_is_nothing_else(tmp_path):
    monitor = "sys/class/hwmon/hwmon1"
    write(tmp_path, {f"{monitor}/name": "rpi_volt\n", f"{monitor}/in0_lcrit_alarm": "1\n"})
    assert throttling([0], tmp_path).now == ("under-voltage",)


def test_x86_counters_are_those_of_the_used_cores(tmp_path):
    counts = throttling([0, 1], laptop(tmp_path)).counts
    assert counts == {
        "thermal throttling of the core": 8,
        "thermal throttling of the package": 9,
    }


def test_a_jetson_counts_its_over_current_events(tmp_path):
    found = throttling([0], jetson(tmp_path))
    assert found.known and found.now == ()
    assert found.counts == {"under-voltage (oc1)": 0, "instantaneous over-current (oc3)": 7}


def test_a_cooling_device_that_holds_a_clock_down_is_throttling_and_a_fan_is_not(tmp_path):
    jetson(tmp_path)
    write(tmp_path, {"sys/class/thermal/cooling_device1/cur_state": "1\n"})
    (words,) = throttling([0], tmp_path).now
    assert "cpu-throttle-alert" in words and "state 1 of 1" in words


def test_a_board_that_cannot_tell_says_so(tmp_path):
    found = throttling([0], tmp_path)
    assert not found.known and found.to_json() == UNAVAILABLE
