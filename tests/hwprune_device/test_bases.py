"""Base networks outlive the supervisor they were sent to: real supervisors on one cache folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hwprune_device.bases import Bases
from hwprune_device.bounded_folder import BoundedFolder
from hwprune_device.plan import content_id
from hwprune_device.reading import Reading
from tests.hwprune_device.board import Board, running
from tests.hwprune_device.chain import WIDTHS, chain, job, name, plan

MODEL, PLAN = chain(), plan()
BASE_ID = content_id(MODEL, PLAN.to_json())


@contextmanager
def board_with(cache: Path, limit_mb: float | None = None) -> Iterator[Board]:
    """A supervisor that keeps its networks in `cache`."""
    words = ["-m", "hwprune_device", "--cache", str(cache)]
    words += [] if limit_mb is None else ["--cache-mb", str(limit_mb)]
    with running(words) as board:
        yield board


@pytest.fixture
def cache(tmp_path) -> Path:
    """A cache folder in which a supervisor that is gone has left the network."""
    with board_with(tmp_path) as board:
        assert not board.have(BASE_ID)
        board.place(MODEL, PLAN, BASE_ID)
        assert board.have(BASE_ID)
    return tmp_path


def test_a_second_supervisor_has_the_network_without_being_sent_it(cache):
    with board_with(cache) as board:
        assert board.have(BASE_ID)
        (reading,) = board.measure(replace(job([WIDTHS]), base_id=BASE_ID)).values()
        assert isinstance(reading, Reading)
        assert board.sent < 2000 < len(MODEL) / 10


def test_a_job_finds_it_too_when_nobody_asked_before(cache):
    with board_with(cache) as board:
        outcomes = board.measure(replace(job([(8, 8, 8)]), base_id=BASE_ID))
        assert isinstance(outcomes[name((8, 8, 8))], Reading)


@pytest.mark.parametrize("damage", ["one byte", "cut short", "empty", "another network"])
def test_a_damaged_file_is_as_good_as_none_and_is_mended_by_the_next_sending(cache, damage):
    file = cache / "bases" / BASE_ID
    whole = file.read_bytes()
    middle = len(whole) // 2
    other = chain((8, 8))
    bad = {
        "one byte": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "cut short": whole[:middle],
        "empty": b"",
        "another network": kept_form(cache / "aside", other, plan((8, 8))),
    }[damage]
    file.write_bytes(bad)
    with board_with(cache) as board:
        assert not board.have(BASE_ID)
        unplaced = replace(job([WIDTHS]), base_id=BASE_ID)
        board.send({"kind": "measure", "job": unplaced.to_json()})
        assert board.answer().kind == "unknown_base"
        board.place(MODEL, PLAN, BASE_ID)
        assert isinstance(board.measure(unplaced)[name(WIDTHS)], Reading)
    assert file.read_bytes() == whole


def kept_form(aside: Path, model: bytes, cut_plan) -> bytes:
    """A network as it lies in the folder."""
    import zlib

    base_id = content_id(model, cut_plan.to_json())
    Bases(BoundedFolder(aside, 1.0)).keep(base_id, cut_plan.to_json(), zlib.compress(model))
    return (aside / base_id).read_bytes()


def test_the_folder_stays_within_the_limit_and_the_one_not_used_longest_goes(tmp_path):
    networks = [(chain((16, 32, width)), plan((16, 32, width))) for width in (30, 31, 32)]
    ids = [content_id(model, cut_plan.to_json()) for model, cut_plan in networks]
    with board_with(tmp_path, limit_mb=0.15) as board:
        for (model, cut_plan), base_id in zip(networks[:2], ids, strict=False):
            board.place(model, cut_plan, base_id)
        one = max(file.stat().st_size for file in (tmp_path / "bases").iterdir())
        assert 0.05e6 < one < 0.075e6  # so two of them fit and three do not
    with board_with(tmp_path, limit_mb=0.15) as board:
        assert board.have(ids[0])
        board.place(*networks[2], ids[2])
        # All three are in its memory, or are read from there.
        assert board.have(ids[0]) and board.have(ids[2])
    assert {file.name for file in (tmp_path / "bases").iterdir()} == {ids[0], ids[2]}
    with board_with(tmp_path, limit_mb=0.15) as board:
        assert [board.have(base_id) for base_id in ids] == [True, False, True]


def test_a_limit_of_nothing_keeps_nothing_and_clears_what_was_kept(cache):
    with board_with(cache, limit_mb=0) as board:
        assert not board.have(BASE_ID)
        board.place(MODEL, PLAN, BASE_ID)
        assert board.have(BASE_ID)
    assert list((cache / "bases").iterdir()) == []


def test_what_is_not_what_its_name_says_is_not_kept(tmp_path):
    with board_with(tmp_path) as board:
        for base_id in ("chain", "../../outside", "f" * 64):
            board.place(MODEL, PLAN, base_id)
            assert board.have(base_id)
    assert list(tmp_path.rglob("*")) == []


def test_a_folder_that_cannot_be_written_is_no_fault(tmp_path):
    (tmp_path / "bases").write_text("a file is in the way")
    with board_with(tmp_path) as board:
        board.place(MODEL, PLAN, BASE_ID)
        outcomes = board.measure(replace(job([WIDTHS]), base_id=BASE_ID))
        assert isinstance(outcomes[name(WIDTHS)], Reading)
