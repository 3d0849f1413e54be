"""Staircases: the widths that are worth offering are those at which the board steps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprune.errors import InputError
from hwprune.tables.model import TableModel
from hwprune.tables.staircase import MOST, staircases, worth_offering
from tests.tables.block_board import block_ms, block_table, joined, network

FULL = (64, 64, 48)


@cache
def model() -> TableModel:
    return TableModel(block_table(network(FULL[1:], stream=FULL[0])))


@cache
def joined_model() -> TableModel:
    return TableModel(block_table(joined()))


def latency(group: int, width: int) -> float:
    widths = np.array([FULL])
    widths[0, group] = width
    return float(model().latency_ms(widths)[0])


choices = st.tuples(*(st.lists(st.integers(1, full), min_size=1, max_size=20) for full in FULL))


def test_a_board_in_blocks_of_16_is_offered_whole_blocks():
    offered = worth_offering(model(), [range(4, full + 1, 4) for full in FULL])
    assert set(offered[0]) >= {4, 16, 32, 48, 64}
    assert set(offered[1]) >= {4, 16, 32, 48, 64}
    assert set(offered[2]) >= {4, 16, 32, 48}
    assert sum(map(len, offered)) <= 14 + 4  # of 44


def test_what_is_not_offered_truly_costs_as_much_as_a_wider_one():
    own = model().table.own
    offered = worth_offering(model(), [range(4, full + 1, 4) for full in FULL])
    for group, mine in enumerate(offered):
        true = {}
        for width in range(4, FULL[group] + 1, 4):
            widths = np.array([FULL])
            widths[0, group] = width
            true[width] = float(block_ms(own, widths)[0])
        for width in set(true) - set(mine):
            assert min(true[wider] for wider in mine if wider > width) <= true[width] * 1.001


@given(choices)
def test_the_widest_and_the_narrowest_stay_and_nothing_is_made_up(given_choices):
    for asked, mine in zip(given_choices, worth_offering(model(), given_choices), strict=True):
        assert mine == tuple(sorted(set(mine))) and set(mine) <= set(asked)
        assert min(asked) in mine and max(asked) in mine


@given(choices, st.floats(0, 0.5))
def test_what_is_left_out_loses_no_more_than_the_tolerance(given_choices, tolerance):
    offered = worth_offering(model(), given_choices, tolerance)
    for group, (asked, mine) in enumerate(zip(given_choices, offered, strict=True)):
        costs = {width: latency(group, width) for width in asked}
        span = max(costs.values()) - min(costs.values())
        for width in set(asked) - set(mine):
            wider = min(costs[w] for w in mine if w > width)
            assert wider <= costs[width] + tolerance * span + 1e-12


@given(choices)
def test_offering_what_is_worth_it_again_changes_nothing(given_choices):
    once = worth_offering(model(), given_choices, 0.0)
    assert worth_offering(model(), once, 0.0) == once


@given(st.lists(st.integers(1, 32), min_size=1), st.lists(st.integers(1, 32), min_size=1))
def test_groups_that_fill_blocks_together_keep_all_choices(left, right):
    offered = worth_offering(joined_model(), [left, right, [16, 20, 24, 28, 32]])
    assert offered[:2] == [tuple(sorted(set(left))), tuple(sorted(set(right)))]
    assert offered[2] == (16, 32)
    assert [stair.shares_axis for stair in staircases(joined_model())] == [True, True, False]


def test_a_slope_without_steps_is_thinned_and_not_emptied():
    own = network([256], stream=16)
    table = block_table(own, noise=0.0)
    rows = tuple(
        replace(row, latency_ms=0.1 + 0.001 * row.widths[1], low_ms=0.1, high_ms=0.4)
        for row in table.rows
    )
    sloped = TableModel(replace(table, rows=rows))
    widths = worth_offering(sloped, [[16], range(4, 257, 4)])[1]
    assert len(widths) >= 10
    assert max(np.diff(widths)) <= 32


@pytest.mark.parametrize("wrong", [[[16], [16]], [[65], [64], [48]], [[0], [64], [48]]])
def test_choices_that_the_network_does_not_have_are_refused(wrong):
    with pytest.raises(InputError):
        worth_offering(model(), wrong)


def test_a_staircase_is_what_the_table_predicts_with_all_other_groups_whole():
    found = staircases(model())
    assert [stair.name for stair in found] == [name for name, _ in model().table.own.groups]
    for group, stair in enumerate(found):
        assert stair.widths == tuple(range(1, FULL[group] + 1))
        assert stair.at(20) == pytest.approx(latency(group, 20))
        assert set(stair.read) == set(range(4, FULL[group] + 1, 4))
        assert set(stair.offered) <= set(stair.read)


def test_a_very_wide_group_is_looked_at_in_strides_that_meet_its_blocks():
    stair = staircases(TableModel(block_table(network([2048], stream=16))))[1]
    assert len(stair.widths) <= MOST + 1 + len(stair.read)
    assert set(stair.read) <= set(stair.widths)
    assert set(range(64, 2049, 64)) <= set(stair.widths)
