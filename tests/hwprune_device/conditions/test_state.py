"""What a board tells of itself and of its state: a value everywhere, never a blank."""

from __future__ import annotations

import os

from hwprune_device.conditions.fingerprint import fingerprint
from hwprune_device.conditions.state import state

CORES = tuple(sorted(os.sched_getaffinity(0)))[-1:]


def blanks(value: object) -> list[object]:
    if isinstance(value, dict):
        return [b for inner in value.values() for b in blanks(inner)]
    if isinstance(value, list):
        return [b for inner in value for b in blanks(inner)]
    return [value] if value is None or value == "" else []


def test_nothing_about_a_board_is_blank():
    board = {**fingerprint(CORES), **state(CORES)}
    assert blanks(board) == []
    assert board["cpu"]["model name"]
