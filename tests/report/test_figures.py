"""How numbers are written."""

from __future__ import annotations

import pytest

from hwprune.report import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04213, "0.0421"), (0.4213, "0.421"), (2.256, "2.26"), (118.44, "118.4")],
)
def test_a_measured_number_carries_three_or_four_figures(value, text):
    assert figures.plain(value) == text


def test_what_is_missing_is_a_dash_never_a_zero():
    writers = (figures.ms, figures.megabytes, figures.percent, figures.seconds)
    assert {write(None) for write in writers} == {"–"}
    assert figures.times(4.0, None) == figures.change(None, 3.0) == figures.points(None, 1) == "–"


def test_differences_carry_a_true_sign():
    assert figures.points(0.9, 0.91) == "−1.00 pp"
    assert figures.points(0.92, 0.91) == "+1.00 pp"
    assert figures.change(1.0, 2.0) == "−50 %"


@pytest.mark.parametrize(
    ("value", "text"),
    [(950, "950"), (272_474, "272 k"), (40_813_184, "40.8 M"), (4.09e9, "4.09 G")],
)
def test_counts_get_a_suffix(value, text):
    assert figures.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0004, "0.4 ms"), (21, "21.0 s"), (611, "10 min 11 s"), (7500, "2 h 05 min")],
)
def test_durations_read_as_people_say_them(value, text):
    assert figures.seconds(value) == text
