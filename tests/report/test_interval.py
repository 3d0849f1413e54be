"""The interval of fresh readings: its coverage, counted over many simulated certificates."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from hwprune.budget import Constraint
from hwprune.report.interval import of_readings, student_t95
from tests.readings import UNTOLD
from tests.report.sample_certificate import make_reading

LATENCY = Constraint(quantity="latency_ms", at_most=1.0)
TEMPLATE = make_reading("b" * 64, 1.0)


def coverage(*, claimed_cv: float, true_cv: float, count: int, trials: int = 1500) -> float:
    """Share of intervals that hold the true latency of 10 ms."""
    rng = random.Random(4)
    held = 0
    for _ in range(trials):
        readings = []
        for _ in range(count):
            ms = 10.0 * rng.gauss(1, true_cv)
            half = 1.96 * claimed_cv * ms
            readings.append(replace(TEMPLATE, latency_ms=ms, low_ms=ms - half, high_ms=ms + half))
        interval = of_readings(LATENCY, readings)
        held += interval.low <= 10.0 <= interval.high
    return held / trials


@pytest.mark.parametrize("count", [1, 3, 5, 12])
def test_an_honest_board_is_covered_at_least_95_percent(count):
    assert coverage(claimed_cv=0.02, true_cv=0.02, count=count) > 0.94


@pytest.mark.parametrize("count", [3, 5, 12])
def test_a_board_three_times_noisier_than_its_profile_is_still_covered(count):
    assert coverage(claimed_cv=0.01, true_cv=0.03, count=count) > 0.93


def test_more_readings_make_the_interval_narrower():
    widths = []
    for count in (1, 4, 16):
        interval = of_readings(LATENCY, [TEMPLATE] * count)
        widths.append(interval.high - interval.low)
    assert widths[0] > widths[1] > widths[2]


def test_memory_is_the_largest_reading_without_an_interval():
    memory = replace(TEMPLATE.memory, weights_mb=2.0)
    interval = of_readings(
        Constraint(quantity="memory_mb", at_most=1), [TEMPLATE, replace(TEMPLATE, memory=memory)]
    )
    assert interval.value == interval.low == interval.high == memory.peak_mb


def test_a_memory_is_that_of_the_readings_that_tell_one():
    limit = Constraint(quantity="memory_mb", at_most=1)
    untold = replace(TEMPLATE, memory=UNTOLD)
    told = of_readings(limit, [untold, TEMPLATE])
    assert told.value == TEMPLATE.memory.peak_mb
    assert of_readings(limit, [untold]) is None


def test_a_quantile_is_read_at_that_quantile():
    p95 = of_readings(Constraint(quantity="latency_ms", at_most=1, quantile=0.95), [TEMPLATE])
    assert p95.value > of_readings(LATENCY, [TEMPLATE]).value


def test_students_t_never_falls_below_the_normal_point_and_only_shrinks():
    points = [student_t95(n) for n in range(1, 200)]
    assert min(points) >= 1.96
    assert points == sorted(points, reverse=True)


def test_an_energy_is_the_mean_of_the_readings_that_have_one():
    energy = Constraint(quantity="energy_mj", at_most=1.0)
    readings = [replace(TEMPLATE, energy_mj=mj) for mj in (2.0, 4.0, None)]
    found = of_readings(energy, readings)
    assert found.value == 3.0
    assert found.low < 2.9 and found.high > 3.1
    assert of_readings(energy, [TEMPLATE]) is None
