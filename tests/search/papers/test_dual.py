"""The dual variable: up where the budget is broken, down where there is room, never below 0."""

from __future__ import annotations

import pytest

from hwprune.search.papers.dual import DualVariable


def test_it_begins_where_it_is_told_to():
    assert DualVariable(start=1.0).value == pytest.approx(1.0)


def test_it_rises_while_the_cost_is_over_its_budget_and_falls_while_it_is_under():
    dual = DualVariable()
    values = []
    for cost in (70.0, 70.0, 70.0, *[1.0] * 40):
        dual.update(cost, 10.0)
        values.append(dual.value)
    assert 1.0 < values[0] < values[1] < values[2]
    assert 0 < values[-1] < 0.1


def test_it_goes_on_rising_a_while_after_the_budget_is_kept():
    """The overshoot of the paper's own curves: Adam's momentum knows no brake."""
    dual = DualVariable()
    for _ in range(20):
        dual.update(70.0, 10.0)
    before = dual.value
    dual.update(9.0, 10.0)
    assert dual.value > before
