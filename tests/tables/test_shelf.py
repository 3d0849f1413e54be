"""The shelf: a search finds the table that fits, and nothing that does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwprune.board import this_machine
from hwprune.channels.base import make_base
from hwprune.tables.shelf import find_table, fits, is_of, place_of, shelf
from hwprune.tables.table_file import read_table, write_table
from tests.tables import small_nets
from tests.tables.tabled import table_of

BOARD = this_machine()


def is_the_one_at(found, place):
    """Whether a table is the one of a file."""
    there = read_table(place)
    return found is not None and (found.built_at, found.rows) == (there.built_at, there.rows)


@pytest.fixture(autouse=True)
def own_shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("HWPRUNE_TABLES", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


@pytest.fixture(scope="module")
def base():
    return small_nets.chain()


@pytest.fixture(scope="module")
def table(base):
    return table_of(base)


def test_an_empty_shelf_has_nothing(base):
    assert find_table(base, BOARD) is None


def test_a_table_is_found_where_it_was_put(base, table, own_shelf):
    assert place_of(table).parent == shelf() == own_shelf
    write_table(table, place_of(table))
    assert is_the_one_at(find_table(base, BOARD), place_of(table))
    assert fits(read_table(place_of(table)), base, BOARD)


def test_the_newest_of_those_that_fit_is_taken(base, table):
    for day in (3, 9, 6):
        newer = replace(table, built_at=f"2026-02-0{day}T00:00:00+00:00")
        write_table(newer, shelf() / f"{10 - day}.parquet")
    assert is_the_one_at(find_table(base, BOARD), shelf() / "1.parquet")


def test_damaged_files_are_passed_over(base, table):
    write_table(table, place_of(table))
    whole = place_of(table).read_bytes()
    (shelf() / "a.parquet").write_bytes(b"")
    (shelf() / "z.parquet").write_bytes(whole[: len(whole) // 2])
    (shelf() / "folder.parquet").mkdir()
    assert is_the_one_at(find_table(base, BOARD), place_of(table))


@pytest.mark.parametrize(
    "board",
    [
        replace(BOARD, kind="other"),
        replace(BOARD, target=replace(BOARD.target, threads=2)),
        replace(BOARD, target=replace(BOARD.target, precision="int8")),
        replace(BOARD, target=replace(BOARD.target, options={"optimization": "none"})),
    ],
)
def test_another_board_or_another_way_to_run_does_not_fit(base, table, board):
    write_table(table, place_of(table))
    assert find_table(base, board) is None


def test_a_target_with_options_fits_after_it_was_written(base):
    options = {"optimization": "none", "providers": ["CPUExecutionProvider"]}
    board = replace(BOARD, target=replace(BOARD.target, options=options))
    write_table(table_of(base, board), shelf() / "t.parquet")
    assert is_the_one_at(find_table(base, board), shelf() / "t.parquet")


def test_another_network_or_the_same_with_a_layer_left_whole_does_not_fit(base, table):
    write_table(table, place_of(table))
    assert find_table(small_nets.vectors(), BOARD) is None
    kept = make_base(base.onnx, ignore=(base.plan.groups[0].name,))
    assert kept.architecture == base.architecture
    assert find_table(kept, BOARD) is None


def test_weights_do_not_matter(base, table):
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(base.onnx)
    weight = model.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + 1, weight.name))
    other = make_base(model.SerializeToString())
    assert other.base_id != base.base_id and is_of(table, other)


@pytest.mark.parametrize("name", ["a/../b", "weird name?*", "x" * 20])
def test_a_file_of_the_shelf_has_a_plain_name(table, own_shelf, name):
    odd = replace(table, networks=(replace(table.own, name=name),), board="../../etc")
    place = place_of(odd)
    assert place.parent == own_shelf
    write_table(odd, place)
    assert place.exists()


def test_tables_of_other_targets_do_not_take_each_others_place(table):
    others = [
        replace(table, target={**table.target, "threads": 4}),
        replace(table, target={**table.target, "precision": "fp16"}),
        replace(table, target={**table.target, "options": {"optimization": "none"}}),
        replace(table, board="other"),
        replace(table, networks=(replace(table.own, groups=table.own.groups[:-1]),)),
        replace(table, conditions_key="d" * 64),
    ]
    assert len({place_of(t) for t in (table, *others)}) == 1 + len(others)
