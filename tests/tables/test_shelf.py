"""The shelf: the table that is found is of this very network, on this kind of board, and new."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwprune.board import this_machine
from hwprune.channels.base import make_base
from hwprune.tables.shelf import find_table, place_of, shelf
from hwprune.tables.table_file import write_table
from hwprune_device.job import Target
from tests.farm.base import base_network
from tests.hwprune_device.chain import chain
from tests.tables.small_table import small_table

BOARD = this_machine()


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("HWPRUNE_TABLES", str(tmp_path / "tables"))


def test_nothing_is_found_where_nothing_lies():
    assert find_table(base_network(), BOARD) is None


def test_the_newest_that_fits_is_found_with_its_rows():
    for key, built_at in (("a", "2026-01-02"), ("b", "2026-03-01"), ("c", "2026-02-01")):
        table = small_table(base_network(), BOARD, built_at=built_at)
        write_table(table, place_of(replace(table, conditions_key=key * 64)))
    found = find_table(base_network(), BOARD)
    assert found is not None and found.built_at == "2026-03-01"
    assert len(found.rows) == len(table.rows)


def test_a_damaged_file_hides_no_other():
    table = small_table(base_network(), BOARD)
    write_table(table, place_of(table))
    (shelf() / "a.parquet").write_bytes(b"no table")
    (shelf() / "z.parquet").write_bytes(place_of(table).read_bytes()[:-9])
    found = find_table(base_network(), BOARD)
    assert found is not None and found.rows == table.rows


def test_what_was_measured_otherwise_does_not_fit():
    table = small_table(base_network(), BOARD)
    write_table(table, place_of(table))
    others = [
        replace(BOARD, kind="another"),
        replace(BOARD, target=Target(threads=2)),
        replace(BOARD, target=replace(BOARD.target, options={"arena": False})),
    ]
    assert [find_table(base_network(), board) for board in others] == [None] * 3
    assert find_table(make_base(chain((16, 32, 16))), BOARD) is None
    whole = make_base(chain(), ignore=(base_network().plan.groups[0].name,))
    assert find_table(whole, BOARD) is None
    assert find_table(base_network(), BOARD) is not None
