"""Calibration: the calm time of the unpruned network, on a board that is not always calm."""

from __future__ import annotations

from dataclasses import replace

from hwprune.farm.calibration import calm_ms, calm_readings, one_reading
from hwprune_device.reading import Failure
from tests.readings import reading


def board(*times: float, doubts: tuple[str, ...] = ()):
    """Readings of a base that takes these times, one after another."""
    taken = [replace(reading(), base_nominal_ms=t, ratio=1.0, doubts=doubts) for t in times]
    return iter(taken).__next__


def test_three_that_agree_are_enough():
    assert calm_ms(calm_readings(board(2.0, 2.02, 2.04))) == 2.02


def test_a_disturbed_batch_is_passed_over():
    assert calm_ms(calm_readings(board(2.4, 2.0, 2.02, 2.5, 2.04))) == 2.02


def test_a_restless_board_gives_its_calmest_and_says_so():
    taken = calm_readings(board(*(2.0 * 1.1**n for n in range(9))))
    assert calm_ms(taken) == 2.2
    assert any("did not settle" in doubt for doubt in one_reading(taken, 2.2).doubts)


def test_a_failure_is_passed_on():
    lost = Failure(stage="lost", message="gone")
    assert calm_readings(lambda: lost) == lost


def test_the_calibration_reading_is_the_nominal_time_with_ratio_one():
    one = one_reading(calm_readings(board(2.0, 2.02, 2.04)), 2.02)
    assert (one.latency_ms, one.ratio, one.base_nominal_ms) == (2.02, 1.0, 2.02)
    assert one.low_ms < 2.02 < one.high_ms and one.doubts == ()
