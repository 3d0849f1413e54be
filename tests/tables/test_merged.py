"""Two tables as one: nothing that can not be mixed is, and what was held out stays so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwprune.errors import InputError
from hwprune.tables.begun import begun_from
from hwprune.tables.merged import merged
from hwprune.tables.model import judged
from tests.tables.block_board import block_table, network, with_blocks

OWN = network([64, 48])
FIRST, SECOND = (block_table(OWN, learned=15, seed=seed) for seed in (2, 3))


def test_rows_of_both_are_there_once_and_the_error_is_judged_anew():
    both = merged(FIRST, SECOND)
    keys = [row.widths for row in both.rows]
    assert len(set(keys)) == len(keys)
    assert set(keys) == {row.widths for row in (*FIRST.rows, *SECOND.rows)}
    assert both.errors[both.source].count == len(both.whole("held out"))
    assert both.errors[both.source].mape_pct < FIRST.errors[FIRST.source].mape_pct
    assert both.device_minutes == FIRST.device_minutes + SECOND.device_minutes


def test_merging_a_table_with_itself_changes_no_row():
    both = merged(FIRST, FIRST)
    assert {row.widths: row for row in both.rows} == {row.widths: row for row in FIRST.rows}


def test_what_one_of_them_held_out_is_not_learned_from():
    learned = replace(FIRST, rows=tuple(replace(r, role="network") for r in FIRST.rows))
    for both in (merged(FIRST, learned), merged(learned, FIRST)):
        assert {r.widths for r in both.whole("held out")} == {
            r.widths for r in FIRST.whole("held out")
        }


def test_of_two_readings_the_better_one_stays():
    better = replace(FIRST.rows[3], latency_ms=7.0, high_ms=8.0, runs=1000)
    doubted = replace(FIRST.rows[4], latency_ms=9.0, runs=1000, doubts="throttled")
    other = replace(SECOND, rows=(better, doubted))
    for both in (merged(FIRST, other), merged(other, FIRST)):
        found = {row.widths: row for row in both.rows}
        assert found[better.widths].latency_ms == 7.0
        assert found[doubted.widths].latency_ms == FIRST.rows[4].latency_ms


def test_blocks_of_both_are_kept_apart_or_joined_by_what_they_are():
    one = with_blocks(FIRST, [network([64])])
    two = with_blocks(SECOND, [network([64]), network([32])])
    both = merged(one, two)
    assert [n.name for n in both.networks] == ["net", "block1", "block2"]
    widths = {r.widths for r in (*one.of(1, "block"), *two.of(1, "block"))}
    assert {r.widths for r in both.of(1, "block")} == widths
    assert len(both.of(2, "block")) == len({r.widths for r in two.of(2, "block")})


def test_what_another_board_took_does_not_displace_the_boards_own_readings():
    other = block_table(OWN, learned=15, seed=2)
    other = replace(
        other,
        board="other",
        rows=tuple(replace(r, latency_ms=50.0, high_ms=51.0, runs=9999) for r in other.rows),
    )
    begun = judged(begun_from(other, SECOND))
    for both in (merged(FIRST, begun), merged(begun, FIRST)):
        own = {row.widths: row.latency_ms for row in both.whole("network", "held out")}
        assert set(own) == {row.widths for row in (*FIRST.rows, *SECOND.rows)}
        assert max(own.values()) < 1
        assert both.begun_from == begun.begun_from
        assert {r.latency_ms for r in both.rows if r.role == "before"} == {50.0}


def test_what_two_other_boards_took_is_not_mixed():
    begun = [
        judged(begun_from(replace(FIRST, board=board), own))
        for board, own in (("one", FIRST), ("two", SECOND))
    ]
    with pytest.raises(InputError, match="cannot be mixed") as raised:
        merged(*begun)
    assert "on one" in raised.value.given and "on two" in raised.value.given


@pytest.mark.parametrize(
    "change",
    [
        {"board": "other"},
        {"conditions_key": "d" * 64},
        {"target": {"runtime": "torch"}},
        {"scale": 1.5},
        {"networks": (replace(OWN, architecture="f" * 64),)},
        {"networks": (replace(OWN, groups=OWN.groups[:-1]),)},
    ],
)
def test_readings_that_cannot_be_mixed_are_refused(change):
    with pytest.raises(InputError, match="cannot be mixed") as raised:
        merged(FIRST, replace(SECOND, **change))
    assert "hwprune table diff" in raised.value.next_step


def test_tables_that_tell_no_network_are_refused():
    """Their blocks have no hash to be known by, and kinds of blocks must not become one."""
    imported = replace(FIRST, networks=(replace(OWN, architecture=""),))
    with pytest.raises(InputError, match="cannot be merged") as raised:
        merged(imported, imported)
    assert "imported" in raised.value.given
