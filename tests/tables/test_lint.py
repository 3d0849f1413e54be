"""What is doubtful about a table is found, and a good one has nothing to be said of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hwprune.tables.lint import lint
from hwprune.tables.model import TableModel, judged
from hwprune.tables.table import Table, TableRow
from tests.tables.block_board import block_table, network, with_blocks

TABLE = block_table(network([64, 48]))


def kinds(table: Table) -> set[str]:
    return {finding.kind for finding in lint(table)}


def with_row(place: int, change: Callable[[TableRow], TableRow]) -> Table:
    rows = list(TABLE.rows)
    rows[place] = change(rows[place])
    return replace(TABLE, rows=tuple(rows))


def test_a_good_table_has_no_finding():
    assert lint(with_blocks(TABLE, [network([64])])) == []


def test_a_doubted_row_is_named_with_its_doubt():
    found = lint(with_row(3, lambda row: replace(row, doubts="the clock was throttled")))
    assert [(f.kind, f.where) for f in found] == [("doubted", "net")]
    assert "throttled" in found[0].text and str(TABLE.rows[3].widths[0]) in found[0].text


def test_a_row_slower_than_a_wider_one_is_shown_beside_it():
    narrow = int(np.argmin([sum(row.widths) for row in TABLE.rows]))
    full = TABLE.rows[0]
    slow = 2 * full.latency_ms
    found = lint(
        with_row(
            narrow, lambda row: replace(row, latency_ms=slow, low_ms=slow, high_ms=1.01 * slow)
        )
    )
    said = [f.text for f in found if f.kind == "slower when narrower"]
    assert len(said) == 1 and f"{slow:.4g} ms" in said[0]
    # The same row is far from what all others tell.
    assert any(f.kind == "far off" for f in found)


def test_a_row_that_the_rest_contradicts_is_far_off_and_no_other_is():
    model = TableModel(TABLE)
    assert model.interval is not None
    wrong = TABLE.rows[5]
    factor = np.exp(6 * model.interval)
    found = lint(
        with_row(
            5,
            lambda r: replace(
                r,
                latency_ms=factor * r.latency_ms,
                low_ms=r.low_ms,
                high_ms=1.01 * factor * r.latency_ms,
            ),
        )
    )
    far = [f for f in found if f.kind == "far off"]
    assert len(far) == 1
    assert f"{factor * wrong.latency_ms:.4g} ms" in far[0].text


def test_a_loose_row_says_how_loose():
    found = lint(with_row(2, lambda r: replace(r, high_ms=1.5 * r.latency_ms)))
    assert [f.kind for f in found] == ["loose"] and "± 25 %" in found[0].text


def test_a_range_of_widths_without_rows_is_a_hole():
    rows = tuple(row for row in TABLE.rows if not 8 < row.widths[1] < 64)
    found = lint(judged(replace(TABLE, rows=rows)))
    holes = [f.text for f in found if f.kind == "hole"]
    assert holes == ["nothing of part1.1.conv1 between 8 and 64 of 64"]


def test_a_block_of_few_rows_is_a_hole():
    table = with_blocks(TABLE, [network([64])])
    rows = [row for row in table.rows if row.network == 1][:3]
    found = lint(judged(replace(table, rows=(*TABLE.rows, *rows))))
    assert [(f.kind, f.where, f.text) for f in found] == [("hole", "block1", "3 good rows")]


@pytest.mark.parametrize("rows", [0, 1, 30])
def test_a_table_that_was_not_judged_says_so(rows):
    table = replace(TABLE, rows=TABLE.rows[:rows], errors={}, source="")
    assert "not judged" in kinds(table)


def test_a_table_whose_own_source_was_not_judged_says_so():
    others = {"another": TABLE.errors[TABLE.source]}
    assert "not judged" in kinds(replace(TABLE, errors=others))


def test_a_scaled_table_is_as_good_as_before():
    assert lint(replace(TABLE, scale=3.0)) == []


def test_rows_of_another_board_are_not_held_against_the_own():
    before = tuple(
        replace(row, role="before", latency_ms=9 * row.latency_ms) for row in TABLE.rows
    )
    table = judged(replace(TABLE, rows=TABLE.rows + before))
    assert kinds(table) <= {"far off"}
