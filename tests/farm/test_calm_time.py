"""What a board's calm time is, as batches come in."""

from __future__ import annotations

import pytest

from hwprune.farm.calm_time import CalmTime


def test_a_faster_batch_shows_that_the_board_was_not_calm_before():
    calm = CalmTime(1.0)
    assert calm.seen(-0.2, alone=True)
    assert calm.ms == pytest.approx(0.8)


def test_what_calibrations_differ_by_moves_nothing():
    calm = CalmTime(1.0)
    assert not any(calm.seen(off, alone=True) for off in (-0.04, 0.0, 0.09) * 4)
    assert calm.ms == 1.0


def test_a_board_that_is_slower_four_times_in_a_row_is_that_slow():
    calm = CalmTime(1.0)
    assert [calm.seen(off, alone=True) for off in (0.5, 0.4, 0.45, 0.42)] == [False] * 3 + [True]
    assert calm.ms == pytest.approx(1.4)


def test_one_calm_batch_among_slow_ones_shows_that_it_is_only_disturbed():
    calm = CalmTime(1.0)
    for _ in range(4):
        assert not any(calm.seen(off, alone=True) for off in (0.5, 0.5, 0.5, 0.02))
    assert calm.ms == 1.0


def test_a_slower_board_among_others_is_not_believed():
    calm = CalmTime(1.0)
    assert not any(calm.seen(0.4, alone=False) for _ in range(10))
    assert calm.seen(0.4, alone=True)
