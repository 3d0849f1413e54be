"""What moved between two tables of one network."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwprune.errors import InputError
from hwprune.tables.difference import difference
from hwprune.tables.model import judged
from hwprune.tables.table import Table
from tests.tables.block_board import block_table, network, with_blocks

TABLE = block_table(network([64, 48]))


def times(factor: float, table: Table = TABLE, network: int | None = None) -> Table:
    def moved(row):
        if network is not None and row.network != network:
            return row
        return replace(
            row,
            latency_ms=factor * row.latency_ms,
            low_ms=factor * row.low_ms,
            high_ms=factor * row.high_ms,
        )

    return judged(replace(table, rows=tuple(map(moved, table.rows))))


def test_a_table_does_not_differ_from_itself():
    found = difference(TABLE, TABLE)
    assert found.facts == ()
    (own,) = found.moved
    assert (own.count, own.ratio, own.low, own.high) == (
        len({r.widths for r in TABLE.rows}),
        1.0,
        1.0,
        1.0,
    )
    assert own.beyond_noise == 0


def test_a_runtime_that_became_slower_is_told_by_how_much():
    after = replace(times(1.25), runtime_version="1.24.0")
    found = difference(TABLE, after)
    assert found.facts == (("runtime", "1.23.0", "1.24.0"),)
    assert found.moved[0].ratio == pytest.approx(1.25)
    assert found.moved[0].beyond_noise == 1.0


def test_a_move_within_the_intervals_is_not_beyond_noise():
    (own,) = difference(TABLE, times(1.01)).moved
    assert own.ratio == pytest.approx(1.01) and own.beyond_noise == 0


def test_a_scale_counts_as_a_move():
    (own,) = difference(TABLE, replace(TABLE, scale=1.5)).moved
    assert own.ratio == pytest.approx(1.5) and own.beyond_noise == 1.0
    (back,) = difference(replace(TABLE, scale=1.5), replace(TABLE, scale=1.5)).moved
    assert back.ratio == pytest.approx(1.0) and back.beyond_noise == 0


def test_blocks_follow_the_network_the_one_that_moved_most_first():
    table = with_blocks(TABLE, [network([64]), network([32])])
    found = difference(table, times(0.5, table, network=2))
    assert [moved.name for moved in found.moved] == ["net", "block2", "block1"]
    assert [moved.ratio for moved in found.moved] == pytest.approx([1.0, 0.5, 1.0])


def test_tables_of_other_candidates_are_compared_by_what_they_predict():
    other = times(2.0, block_table(TABLE.own, seed=9))
    other = replace(other, rows=other.rows[1:])
    (own,) = difference(TABLE, other).moved
    assert own.count == 0
    assert own.ratio == pytest.approx(2.0, rel=0.03) and own.beyond_noise > 0.9


def test_tables_of_blocks_alone_are_compared_too():
    table = with_blocks(TABLE, [network([64])])
    only = replace(table, rows=tuple(r for r in table.rows if r.network), errors={})
    found = difference(judged(only), judged(only))
    assert [moved.ratio for moved in found.moved] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    "change", [{"architecture": "f" * 64}, {"groups": (("stem", 64), ("part1.1.conv1", 64))}]
)
def test_tables_of_other_networks_or_other_groups_are_refused(change):
    other = replace(TABLE, networks=(replace(TABLE.own, **change),))
    with pytest.raises(InputError, match="different networks"):
        difference(TABLE, other)
