"""The floor: what is asked of the delivered network's score, and whether it is reached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprune.errors import DeploymentError
from hwprune.floor import Floor, judge, parse_floor
from hwprune.metric import Metric

ACCURACY = Metric(name="accuracy")
ERROR = Metric(name="mean error", higher_is_better=False, is_share=False)
LIKELIHOOD = Metric(name="log-likelihood", is_share=False)
GAIN = Metric(name="loss in dB", higher_is_better=False, is_share=False)


@pytest.mark.parametrize(
    ("text", "floor"),
    [
        ("98 %", Floor(at_least=0.98, relative=True)),
        (" 97.5% ", Floor(at_least=0.975, relative=True)),
        (0.85, Floor(at_least=0.85)),
        ("0.85", Floor(at_least=0.85)),
        (1, Floor(at_least=1.0)),
        ("-3.5", Floor(at_least=-3.5)),
        ("", None),
    ],
)
def test_a_floor_is_a_share_of_the_unpruned_score_or_a_number(text, floor):
    assert parse_floor(text) == floor


@pytest.mark.parametrize("text", ["good", "98 percent", "%", "0 %", "-5 %", "nan", "inf", True])
def test_what_is_no_floor_is_refused_with_what_is_possible(text):
    with pytest.raises(DeploymentError, match="at_least cannot be read") as raised:
        parse_floor(text)
    assert "98 %" in raised.value.possible


@pytest.mark.parametrize(
    ("metric", "unpruned", "least"),
    [
        (ACCURACY, 0.9, 0.882),
        (ERROR, 0.98, 1.0),
        (LIKELIHOOD, -98.0, -100.0),
        (GAIN, -10.0, -9.8),
    ],
)
def test_98_percent_allows_a_little_worse_whatever_the_direction_and_sign(metric, unpruned, least):
    limit = Floor(at_least=0.98, relative=True).of(metric, unpruned)
    assert limit == pytest.approx(least) and metric.better(unpruned, limit)


@given(
    st.sampled_from([ACCURACY, ERROR, LIKELIHOOD, GAIN]),
    st.floats(-100, 100),
    st.floats(0.01, 0.99),
)
def test_the_unpruned_network_reaches_any_share_of_itself(metric, unpruned, share):
    floor = Floor(at_least=share, relative=True)
    assert judge(floor, metric, unpruned=unpruned, delivered=unpruned).reached


@pytest.mark.parametrize(
    ("metric", "delivered", "reached", "words"),
    [
        (ACCURACY, 0.86, True, "accuracy 86.00 % is at least 85.00 %"),
        (ACCURACY, 0.85, True, "accuracy 85.00 % is at least 85.00 %"),
        (ACCURACY, 0.84, False, "accuracy 84.00 % is not at least 85.00 %"),
        (ERROR, 0.84, True, "mean error 0.84 is at most 0.85"),
        (ERROR, 0.86, False, "mean error 0.86 is not at most 0.85"),
    ],
)
def test_a_finding_says_what_was_asked_and_what_is(metric, delivered, reached, words):
    finding = judge(Floor(at_least=0.85), metric, unpruned=0.9, delivered=delivered)
    assert finding.reached is reached and finding.text(metric) == words


def test_a_score_that_is_no_number_reaches_no_floor():
    found = judge(Floor(at_least=0.85), ACCURACY, unpruned=0.9, delivered=float("nan"))
    assert not found.reached
