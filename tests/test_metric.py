"""A metric: which way is better, how the search compares it, how it is written."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hwprune.metric import Metric

ACCURACY = Metric(name="accuracy")
WORD_ERROR = Metric(name="WER", higher_is_better=False)
MEAN_ERROR = Metric(name="mean error", higher_is_better=False, is_share=False)
LIKELIHOOD = Metric(name="log-likelihood", is_share=False)
NUMBERS = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)


def test_a_share_is_its_own_quality_or_what_it_leaves_of_1():
    assert ACCURACY.quality(0.9, 0.95) == 0.9
    assert WORD_ERROR.quality(0.1, 0.05) == pytest.approx(0.9)


def test_a_share_that_leaves_0_to_1_has_no_negative_quality():
    assert WORD_ERROR.quality(1.4, 0.05) == 0.0
    assert ACCURACY.quality(-0.2, 0.5) == 0.0


@pytest.mark.parametrize(("error", "quality"), [(2.0, 1.0), (4.0, 1 / 2), (6.0, 1 / 3)])
def test_an_error_twice_as_large_is_half_as_good(error, quality):
    assert MEAN_ERROR.quality(error, 2.0) == pytest.approx(quality)


@given(st.sampled_from([MEAN_ERROR, LIKELIHOOD]), NUMBERS, NUMBERS)
def test_any_number_that_is_not_better_has_a_quality_of_0_to_1(metric, score, unpruned):
    quality = metric.quality(score, unpruned)
    assert 0.0 <= quality <= 2.0
    assert (quality <= 1.0) or metric.better(score, unpruned)


@given(st.sampled_from([MEAN_ERROR, LIKELIHOOD]), NUMBERS, NUMBERS, NUMBERS)
def test_the_better_score_has_the_higher_quality(metric, one, other, unpruned):
    assume(metric.better(one, other))
    assert metric.quality(one, unpruned) >= metric.quality(other, unpruned)


@given(st.floats(0.1, 100.0), st.floats(1.0, 1e4))
def test_bad_candidates_are_still_told_apart(unpruned, factor):
    worse, worst = unpruned * factor, unpruned * factor * 1.1
    for metric, sign in ((MEAN_ERROR, 1), (LIKELIHOOD, -1)):
        base = sign * unpruned
        assert metric.quality(sign * worse, base) > metric.quality(sign * worst, base)


def test_an_unpruned_network_without_error_is_1_and_any_error_is_worse():
    assert MEAN_ERROR.quality(0.0, 0.0) == 1.0
    assert MEAN_ERROR.quality(1e-3, 0.0) > MEAN_ERROR.quality(2e-3, 0.0) > 0.0


@pytest.mark.parametrize(
    ("metric", "better", "worse"), [(ACCURACY, 0.9, 0.8), (MEAN_ERROR, 0.8, 0.9)]
)
def test_better_follows_the_direction(metric, better, worse):
    assert metric.better(better, worse)
    assert not metric.better(worse, better) and not metric.better(better, better)


@pytest.mark.parametrize(
    ("metric", "score", "text"),
    [
        (ACCURACY, 0.91237, "91.24 %"),
        (ACCURACY, None, "–"),
        (MEAN_ERROR, 12.3456, "12.35"),
        (MEAN_ERROR, 1e-9, "1e-09"),
    ],
)
def test_a_score_is_written_in_percent_or_as_a_number(metric, score, text):
    assert metric.text(score) == text


@pytest.mark.parametrize(
    ("metric", "score", "reference", "text"),
    [
        (ACCURACY, 0.9, 0.92, "−2.00 pp"),
        (ACCURACY, 0.92, 0.9, "+2.00 pp"),
        (MEAN_ERROR, 3.0, 2.0, "+50.00 %"),
        (LIKELIHOOD, -30.0, -20.0, "−50.00 %"),
        (MEAN_ERROR, 0.5, 0.0, "+0.5"),
        (ACCURACY, None, 0.9, "–"),
        (ACCURACY, 0.9, None, "–"),
    ],
)
def test_a_change_has_its_sign_and_is_never_hidden(metric, score, reference, text):
    assert metric.change(score, reference) == text
