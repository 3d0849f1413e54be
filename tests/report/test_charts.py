"""The drawing plane: scales, round ticks, labels that keep apart."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from hwprune.report.charts.plane import Plane, span, ticks
from hwprune.report.charts.readings import normal_runs, strips
from hwprune.report.charts.widths import widths
from hwprune.report.rows import GroupRow
from tests.report.sample import make_result
from tests.report.sample_certificate import make_reading

numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, max_size=20))
def test_a_span_holds_its_values_and_is_never_empty(values):
    low, high = span(values)
    assert low < high
    assert all(low <= value <= high for value in values)


@given(low=numbers, width=st.floats(1e-3, 1e6))
def test_ticks_lie_inside_and_are_few_and_evenly_spaced(low, width):
    marks = ticks(low, low + width)
    assert 1 <= len(marks) <= 7
    assert all(low - width * 1e-6 <= mark <= low + width * (1 + 1e-6) for mark in marks)
    steps = [b - a for a, b in pairwise(marks)]
    assert all(abs(step - steps[0]) <= 1e-6 * max(abs(low), width) for step in steps)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=2, max_size=5))
@example([(0.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.0, 0.25)])
def test_labels_of_a_few_points_never_lie_on_each_other(points):
    plane = Plane((0, 10), (0, 10), width=980, height=460)
    for number, (x, y) in enumerate(points):
        plane.label(x, y, f"label {number}")
    boxes = plane._boxes
    for place, (left, top, right, bottom) in enumerate(boxes):
        for l_, t, r, b in boxes[:place]:
            assert left >= r or right <= l_ or top >= b or bottom <= t


def test_a_wider_group_that_kept_less_has_the_shorter_bar():
    svg = widths(
        (
            GroupRow(name="a", width_before=64, width_after=16, saved_ms=0.2),
            GroupRow(name="b", width_before=16, width_after=12, saved_ms=None),
        )
    )
    kept = [float(w) for w in re.findall(r'class="kept".*?width="([\d.]+)"', svg)]
    assert kept[0] == 95 and kept[1] == 285
    assert "16 of 64" in svg and svg.count('class="saved"') == 1


def test_a_long_group_name_keeps_its_end_and_its_whole_in_the_hover():
    name = "features." * 12 + "conv_last"
    svg = widths((GroupRow(name=name, width_before=8, width_after=4),))
    assert f"<title>{name}:" in svg
    assert re.search(r">….*conv_last<", svg)


def test_a_strip_draws_every_run_of_every_reading_or_counts_it():
    result = make_result()
    for network, svg in strips(result):
        readings = [f.reading for f in result.final_readings if f.network == network]
        drawn = svg.count('class="run"')
        beyond = sum(map(int, re.findall(r">(\d+) beyond", svg)))
        assert drawn + beyond == sum(len(normal_runs(r)) for r in readings)
        assert svg.count('class="median"') == len(readings)


def test_runs_are_freed_of_the_drift_their_base_shows():
    reading = make_reading("b" * 64, 2.0)
    doubled = reading.from_json(
        reading.to_json()
        | {
            "runs_ms": [[2 * run for run in runs] for runs in reading.runs_ms],
            "base_ms": [2 * base for base in reading.base_ms],
        }
    )
    assert normal_runs(doubled) == normal_runs(reading)
