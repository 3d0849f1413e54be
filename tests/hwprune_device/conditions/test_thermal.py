"""Thermal zones: temperatures, and how far each is from where speed is lost."""

from __future__ import annotations

import pytest

from hwprune_device.conditions.thermal import hottest, tightest, zones
from tests.hwprune_device.recorded import jetson, laptop, raspberry_pi, write, zone


def test_the_lowest_trip_point_that_costs_speed_counts_and_fans_do_not(tmp_path):
    seen = {z.name: z for z in zones(jetson(tmp_path, temp_c=90.0))}
    assert (seen["cpu-thermal"].trip_c, seen["cpu-thermal"].trip_kind) == (99.0, "passive")
    assert seen["cpu-thermal"].below_trip_c == 9.0
    assert seen["tj-thermal"].trip_c == 104.5


def test_a_zone_that_is_switched_off_is_left_out(tmp_path):
    assert "cv0-thermal" not in {z.name for z in zones(jetson(tmp_path))}


def test_the_hottest_zone_need_not_be_the_nearest_to_its_trip_point(tmp_path):
    seen = zones(jetson(tmp_path, temp_c=90.0))
    assert hottest(seen).name == "tj-thermal"
    assert tightest(seen).name == "cpu-thermal"


@pytest.mark.parametrize("name", ["acpitz", "x86_pkg_temp"])
def test_a_trip_point_that_is_not_set_is_none(tmp_path, name):
    (found,) = [z for z in zones(laptop(tmp_path)) if z.name == name]
    assert found.trip_c is None and found.below_trip_c is None
    assert found.to_json()["trip_c"] == "unavailable"


def test_a_raspberry_pis_firmware_throttles_below_what_linux_knows(tmp_path):
    (found,) = zones(raspberry_pi(tmp_path, temp_c=78.0))
    assert (found.trip_c, found.trip_kind, found.below_trip_c) == (80.0, "firmware", 2.0)


def test_a_lower_trip_point_of_a_raspberry_pi_wins_over_the_firmwares(tmp_path):
    raspberry_pi(tmp_path)
    write(tmp_path, zone(0, "cpu-thermal", 50.0, {"passive": 70.0}))
    assert zones(tmp_path)[0].trip_c == 70.0


def test_without_zones_there_is_no_hottest(tmp_path):
    assert zones(tmp_path) == []
    assert hottest([]) is None and tightest([]) is None
