"""Doubts about a whole board; those about a batch stand with the conditions they come of."""

from __future__ import annotations

import pytest

from hwprune_device.doubts import board_doubts


def test_whatever_is_timed_on_an_emulated_board_is_doubted():
    (doubt,) = board_doubts({"machine": "aarch64", "emulated": True})
    assert doubt == "this board is emulated: its times say nothing about hardware"


@pytest.mark.parametrize("board", [{}, {"emulated": False}, {"emulated": "unavailable"}])
def test_a_board_that_is_real_or_does_not_tell_is_not(board):
    assert board_doubts(board) == []
