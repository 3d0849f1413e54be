"""Canaries: what is known, what is off, and how far readings lie apart."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hwprune.candidate import Candidate
from hwprune.farm.canaries import Canaries, between_batches
from hwprune.farm.reading_key import ReadingKey
from tests.readings import reading


def key(name: str) -> ReadingKey:
    return ReadingKey(architecture=name, target_key="t", conditions_key="c")


def at_ratio(ratio: float, **changes):
    """A reading whose interval is ± 2 %."""
    taken = replace(reading(), ratio=ratio, **changes)
    half = 0.02 * taken.latency_ms
    return replace(taken, low_ms=taken.latency_ms - half, high_ms=taken.latency_ms + half)


def known(*ratios: float) -> Canaries:
    canaries = Canaries()
    canaries.learn(key("a"), Candidate(widths=(1,)), [at_ratio(ratio) for ratio in ratios])
    return canaries


def test_a_canary_that_reads_as_before_is_learned_from():
    canaries = known(0.50, 0.51)
    (canary,) = canaries.all
    read = canaries.compare(canary, at_ratio(0.509))
    assert not read.alarm and abs(read.off_pct) < 1.0
    assert canary.ratios == [0.50, 0.51, 0.509]


def test_a_canary_that_is_off_is_an_alarm_and_teaches_nothing():
    canaries = known(0.50, 0.51)
    (canary,) = canaries.all
    read = canaries.compare(canary, at_ratio(0.60))
    assert read.alarm and read.off_pct == pytest.approx(18.8, abs=0.1)
    assert "+18.8 % off" in read.message
    assert canary.ratios == [0.50, 0.51]


def test_a_wide_interval_forgives_and_three_per_cent_never_alarms():
    canaries = known(0.50)
    (canary,) = canaries.all
    wide = replace(at_ratio(0.55), low_ms=0.1, high_ms=9.9)
    assert not canaries.compare(canary, wide).alarm
    narrow = at_ratio(0.51)
    narrow = replace(narrow, low_ms=narrow.latency_ms, high_ms=narrow.latency_ms)
    assert not canaries.compare(canary, narrow).alarm


def test_batches_of_usual_size_have_one_canary_and_small_ones_when_it_is_due():
    canaries = known(0.5)
    canaries.learn(key("b"), Candidate(widths=(2,)), [at_ratio(0.7)])
    canaries.learn(key("c"), Candidate(widths=(3,)), [at_ratio(0.9)])
    assert len(canaries.all) == 2
    now = 1e12
    assert len(canaries.pick(16, last_at=now, without=set())) == 2
    assert len(canaries.pick(5, last_at=now, without=set())) == 1
    assert canaries.pick(1, last_at=now, without=set()) == []
    assert len(canaries.pick(1, last_at=None, without=set())) == 1
    assert [c.key for c in canaries.pick(16, last_at=now, without={"a"})] == [key("b")]


def test_a_history_takes_over_from_the_class_default_by_and_by():
    assert between_batches(0.0, 3, 1) is None
    random = np.random.default_rng(0)
    for freedom, expected in ((8, 0.011), (800, 0.005)):
        squares = float((random.normal(0, 0.005, freedom) ** 2).sum())
        cv, words = between_batches(squares, freedom, 1)
        assert cv == pytest.approx(expected, rel=0.1)
        assert f"{freedom} readings taken again" in words
    loud = between_batches(100 * 0.05**2, 100, 1)
    assert loud is not None and math.isclose(loud[0], 0.048, rel_tol=0.05)
