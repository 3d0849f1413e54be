"""Who took a board down: the innocent go on, the guilty have a strike, nobody waits for ever."""

from __future__ import annotations

import pytest

from hwprune.board import this_machine
from hwprune.candidate import Candidate
from hwprune.farm import recovery
from hwprune.farm.board_pool import BoardPool
from hwprune.farm.recovery import Suspects
from hwprune.farm.store import ReadingStore
from tests.farm.base import base_network


@pytest.fixture
def pool(tmp_path):
    store = ReadingStore(tmp_path / "readings.sqlite")
    pool = BoardPool([this_machine()], store, "typical")
    pool.place(base_network())
    yield pool
    store.close()


def suspects(pool: BoardPool, count: int) -> Suspects:
    """As many networks as asked for, that were on the board when it went away."""
    for width in range(4, 4 + count):
        candidate = Candidate(widths=(width, 16, 16))
        pool.queue.join(pool.key_of(candidate), candidate)
    return Suspects(pool=pool, board="pi", held=pool.queue.take(count))


def strikes(pool: BoardPool, held: list) -> list[list[tuple[str, str]]]:
    return [pool.store.strikes(request.key) for request in held]


@pytest.mark.parametrize("verdict", ["died", "rebooted"])
def test_one_that_was_at_work_when_the_board_died_has_a_strike_and_is_tried_again(pool, verdict):
    lone = suspects(pool, 1)
    (request,) = lone.held
    lone.judge(verdict)
    assert strikes(pool, [request]) == [[("pi", verdict)]]
    assert pool.queue.take(1) == [request]


def test_of_several_none_has_a_strike_but_each_goes_alone(pool):
    three = suspects(pool, 3)
    held = list(three.held)
    three.judge("died")
    assert strikes(pool, held) == [[], [], []]
    assert [pool.queue.take(3) for _ in held] == [[request] for request in held]


@pytest.mark.parametrize("verdict", ["running", "none"])
def test_a_link_that_was_cut_is_nobody_s_fault(pool, verdict):
    two = suspects(pool, 2)
    held = list(two.held)
    two.judge(verdict)
    assert strikes(pool, held) == [[], []]
    assert pool.queue.take(2) == held


@pytest.mark.parametrize(
    ("verdict", "standing"), [("running", 0), ("died", 1)], ids=["withdrawn", "stands"]
)
def test_a_long_silence_is_a_strike_until_the_board_says_otherwise(
    pool, monkeypatch, verdict, standing
):
    monkeypatch.setattr(recovery, "HOLD_S", 0.0)
    lone = suspects(pool, 1)
    (request,) = lone.held
    lone.still_away()
    lone.still_away()
    assert strikes(pool, [request]) == [[("pi", "silent since")]]
    assert pool.queue.take(1) == [request], "another board may try meanwhile"
    lone.judge(verdict)
    assert len(strikes(pool, [request])[0]) == standing


def test_a_short_silence_says_nothing(pool):
    lone = suspects(pool, 1)
    (request,) = lone.held
    lone.still_away()
    assert strikes(pool, [request]) == [[]]
    assert lone.held == [request]
