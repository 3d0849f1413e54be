"""A run that waits for boards says so."""

from __future__ import annotations

import time

from hwprune.pipeline.board_watch import watched_boards
from tests.doubles.recorded_progress import RecordedProgress


def test_boards_that_are_away_are_said_once_and_again_when_that_changes():
    states = ["", "board pi is lost: no route", "board pi is lost: no route", "", "", "x"]
    looks = iter(states)
    heard = RecordedProgress()
    with watched_boards(lambda: next(looks, ""), heard, look_s=0.01):
        end = time.monotonic() + 20
        while len(heard.notes) < 2 and time.monotonic() < end:
            time.sleep(0.01)
    assert heard.notes == ["waits: board pi is lost: no route", "waits: x"]
    assert heard.steps == 0


def test_nothing_is_said_after_the_run():
    heard = RecordedProgress()
    with watched_boards(lambda: "board pi is lost", heard, look_s=0.01):
        pass
    before = len(heard.notes)
    time.sleep(0.05)
    assert len(heard.notes) == before and heard.steps == 0
