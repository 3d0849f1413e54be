"""The estimator on samples whose truth is known."""

from __future__ import annotations

import random
from statistics import median, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprune_device.estimate import (
    CLASS_CV,
    Between,
    Visit,
    choose_clock,
    device_class,
    median_interval,
    ratio_to_base,
    spread,
)

TRUTH = 0.6


def visit(ms: float, before: int, *, wall: float | None = None) -> Visit:
    return Visit(wall_ms=(wall or ms,) * 3, cpu_ms=(ms,) * 3, before=before)


CLASS = Between(cv=CLASS_CV[device_class(1)], source="class default")


def drifting_batch(seed: int, rounds: int = 20) -> tuple[list[Visit], list[Visit]]:
    """Candidate and base visits on a machine that slows by half, with 3 % of own noise."""
    noise = random.Random(seed)
    speed = [1.0 + 0.5 * i / rounds for i in range(rounds + 1)]
    base = [visit(s * noise.gauss(1.0, 0.03), i - 1) for i, s in enumerate(speed)]
    candidate = [
        visit(TRUTH * (speed[i] + speed[i + 1]) / 2 * noise.gauss(1.0, 0.03), i)
        for i in range(rounds)
    ]
    return candidate, base


def test_the_ratio_does_not_see_a_drift_that_the_median_does():
    ratios, plain = [], []
    for seed in range(30):
        candidate, base = drifting_batch(seed)
        ratios.append(ratio_to_base(candidate, base, "thread_cpu").value)
        plain.append(median(v.cpu_ms[0] for v in candidate))
    assert median(ratios) == pytest.approx(TRUTH, rel=0.01)
    assert median(plain) > 1.15 * TRUTH
    assert pstdev(ratios) / TRUTH < 0.015


def test_the_interval_of_a_ratio_covers_the_truth_nineteen_times_in_twenty():
    hits = 0
    for seed in range(200):
        ratio = ratio_to_base(*drifting_batch(seed), "thread_cpu")
        hits += ratio.low <= TRUTH <= ratio.high
    assert hits >= 180


def test_a_rare_interruption_does_not_move_the_ratio():
    base = [visit(1.0, i - 1) for i in range(21)]
    candidate = [visit(9.0 if i % 4 == 0 else 0.5, i) for i in range(20)]
    assert ratio_to_base(candidate, base, "wall").value == pytest.approx(0.5)


def test_thread_cpu_time_counts_when_the_core_was_shared():
    quiet = [visit(1.0, i, wall=1.003) for i in range(10)]
    shared = [visit(1.0, i, wall=4.0 if i % 3 == 0 else 1.0) for i in range(10)]
    assert choose_clock(quiet, threads=1)[0] == "wall"
    assert choose_clock(shared, threads=1)[0] == "thread_cpu"
    assert choose_clock(shared, threads=2)[0] == "wall"


def test_each_clock_has_its_own_ratio():
    def both(wall: float, device: float, before: int) -> Visit:
        return Visit(wall_ms=(wall,), cpu_ms=(0.1,), device_ms=(device,), before=before)

    base = [both(10.0, 2.0, i - 1) for i in range(4)]
    candidate = [both(9.0, 1.0, i) for i in range(3)]
    values = [ratio_to_base(candidate, base, c).value for c in ("wall", "device", "thread_cpu")]
    assert values == pytest.approx([0.9, 0.5, 1.0])


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=60))
def test_an_interval_holds_the_median_and_lies_in_the_samples(samples):
    low, high = median_interval(samples)
    assert min(samples) <= low <= median(samples) <= high <= max(samples)


def test_twenty_samples_give_the_sixth_from_either_end():
    # Binomial(20, 1/2): six from either end cover the median in 95.9 % of cases.
    assert median_interval(range(1, 21)) == (6, 15)


def test_a_latency_is_never_surer_than_the_spread_between_batches():
    base = [visit(1.0, i - 1) for i in range(21)]
    exact = ratio_to_base([visit(0.5, i) for i in range(20)], base, "wall")
    default = spread(10.0, exact, CLASS, 0.0)
    assert default.high_ms - 10.0 == pytest.approx(1.96 * CLASS_CV["one thread"] * 10.0)
    assert "class default" in default.source
    noisy = spread(10.0, ratio_to_base(*drifting_batch(0), "wall"), CLASS, 0.0)
    assert noisy.high_ms > default.high_ms


def test_a_base_off_its_calm_time_widens_the_interval_of_networks_unlike_it():
    base = [visit(1.0, i - 1) for i in range(21)]
    small, alike = (
        ratio_to_base([visit(ms, i) for i in range(20)], base, "wall") for ms in (0.4, 1.0)
    )
    calm = spread(10.0, small, CLASS, 0.02)
    assert calm == spread(10.0, small, CLASS, 0.0)
    # Measured: with the base 20 % slow, a network of 40 % of its time read up to 20 % off.
    off = spread(10.0, small, CLASS, 0.2)
    assert off.high_ms > 11.5 and "+20% off its calm time" in off.source
    assert spread(10.0, small, CLASS, -0.2).high_ms == pytest.approx(off.high_ms)
    assert spread(10.0, alike, CLASS, 0.2).high_ms == pytest.approx(calm.high_ms)
