"""The simulated farm behaves as a farm does."""

from __future__ import annotations

import inspect
import time

import pytest

from hwprune.candidate import Candidate
from hwprune.farm.farm import Farm
from hwprune_device.reading import Failure, Reading
from tests.doubles.simulated_farm import SimulatedFarm, Staircase

WIDTHS = (64, 64, 64)


def measure(farm: SimulatedFarm, *widths: tuple[int, ...]) -> list:
    return [f.result(10) for f in farm.measure([Candidate(widths=w) for w in widths])]


def test_it_has_the_farms_face():
    for name, method in inspect.getmembers(Farm, inspect.isfunction):
        if not name.startswith("_"):
            ours = inspect.signature(getattr(SimulatedFarm, name)).parameters
            wanted = [p for p in inspect.signature(method).parameters.values()]
            needed = [p.name for p in wanted if p.default is inspect.Parameter.empty]
            assert list(ours)[: len(needed)] == needed, name


def test_latency_is_a_staircase():
    stairs = Staircase(block=16)
    assert stairs.latency_ms((33, 64)) == stairs.latency_ms((48, 64))
    assert stairs.latency_ms((32, 64)) < stairs.latency_ms((33, 64))


def test_the_same_seed_gives_the_same_readings_and_asking_again_is_free():
    first, second = SimulatedFarm(WIDTHS, seed=3), SimulatedFarm(WIDTHS, seed=3)
    asked = [(16, 16, 16), (32, 64, 64)]
    assert measure(first, *asked) == measure(second, *asked)
    again = measure(first, *asked)
    assert again == measure(first, *asked)
    assert first.measured == 2
    base = first.calibrate()
    assert isinstance(base, Reading)
    assert base.latency_ms == base.base_nominal_ms
    fresh = first.remeasure(Candidate(widths=(16, 16, 16)), 3)
    assert len({reading.latency_ms for reading in fresh}) == 3


def test_failures_and_delays_are_as_ordered():
    farm = SimulatedFarm(WIDTHS, delay_s=0.05, fails=lambda widths: widths[0] == 16)
    start = time.monotonic()
    bad, good = measure(farm, (16, 16, 16), (32, 16, 16))
    assert time.monotonic() - start >= 0.1
    assert isinstance(bad, Failure)
    assert good.ratio == pytest.approx(Staircase().latency_ms((32, 16, 16)) / 0.82, rel=0.2)
    assert farm.timings()["candidates"] == 2
    farm.close()
