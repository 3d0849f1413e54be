"""Who took a board down: the innocent go on, the guilty have a strike, nobody waits for ever."""

from __future__ import annotations

import pytest

from hwprune.board import this_machine
from hwprune.candidate import Candidate
from hwprune.farm import suspects as module
from hwprune.farm.kind import Kind
from hwprune.farm.store import ReadingStore
from hwprune.farm.suspects import Suspects
from tests.farm.base import base_network


@pytest.fixture
def kind(tmp_path):
    store = ReadingStore(tmp_path / "readings.sqlite")
    kind = Kind([this_machine()], store, "typical")
    kind.place(base_network())
    yield kind
    store.close()


def suspects(kind: Kind, count: int) -> Suspects:
    """As many networks as asked for, that were on the board when it went away."""
    for width in range(4, 4 + count):
        candidate = Candidate(widths=(width, 16, 16))
        kind.room.join(kind.key_of(candidate), candidate)
    return Suspects(kind=kind, board="pi", held=kind.room.take(count))


def strikes(kind: Kind, held: list) -> list[list[tuple[str, str]]]:
    return [kind.store.strikes(wish.key) for wish in held]


@pytest.mark.parametrize("verdict", ["died", "rebooted"])
def test_one_that_was_at_work_when_the_board_died_has_a_strike_and_is_tried_again(kind, verdict):
    lone = suspects(kind, 1)
    (wish,) = lone.held
    lone.judge(verdict)
    assert strikes(kind, [wish]) == [[("pi", verdict)]]
    assert kind.room.take(1) == [wish]


def test_of_several_none_has_a_strike_but_each_goes_alone(kind):
    three = suspects(kind, 3)
    held = list(three.held)
    three.judge("died")
    assert strikes(kind, held) == [[], [], []]
    assert [kind.room.take(3) for _ in held] == [[wish] for wish in held]


@pytest.mark.parametrize("verdict", ["running", "none"])
def test_a_link_that_was_cut_is_nobody_s_fault(kind, verdict):
    two = suspects(kind, 2)
    held = list(two.held)
    two.judge(verdict)
    assert strikes(kind, held) == [[], []]
    assert kind.room.take(2) == held


@pytest.mark.parametrize(
    ("verdict", "standing"), [("running", 0), ("died", 1)], ids=["withdrawn", "stands"]
)
def test_a_long_silence_is_a_strike_until_the_board_says_otherwise(
    kind, monkeypatch, verdict, standing
):
    monkeypatch.setattr(module, "HOLD_S", 0.0)
    lone = suspects(kind, 1)
    (wish,) = lone.held
    lone.still_away()
    lone.still_away()
    assert strikes(kind, [wish]) == [[("pi", "silent since")]]
    assert kind.room.take(1) == [wish], "another board may try meanwhile"
    lone.judge(verdict)
    assert len(strikes(kind, [wish])[0]) == standing


def test_a_short_silence_says_nothing(kind):
    lone = suspects(kind, 1)
    (wish,) = lone.held
    lone.still_away()
    assert strikes(kind, [wish]) == [[]]
    assert lone.held == [wish]
