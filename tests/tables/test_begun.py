"""A table begun from another board's: its own readings, with what that board took before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwprune.errors import InputError
from hwprune.tables.begun import begun_from, refuse_other
from hwprune.tables.model import TableModel, judged
from hwprune.tables.table import widths_of
from tests.tables import small_nets
from tests.tables.block_board import block_ms, block_table, network, with_blocks
from tests.tables.tabled import table_of

OWN = network([64, 48, 64])


def times(factor: float, table):
    return replace(
        table, rows=tuple(replace(r, latency_ms=factor * r.latency_ms) for r in table.rows)
    )


def test_a_few_own_readings_scale_what_another_board_took():
    other = replace(with_blocks(times(4.0, block_table(OWN)), []), board="slow-board")
    begun = judged(begun_from(other, block_table(OWN, learned=8, seed=7)))
    alone = block_table(OWN, learned=8, seed=7)
    assert begun.source == "both"
    assert begun.errors["both"].mape_pct < 0.7 * alone.errors["networks"].mape_pct
    assert begun.begun_from == "net on slow-board, onnxrt 1.23.0, 2026-01-02T03:04:05+00:00"
    unseen = widths_of(block_table(OWN, seed=30).rows)
    found = TableModel(begun).latency_ms(unseen) / block_ms(OWN, unseen)
    assert np.abs(found - 1).mean() < 0.05


def test_blocks_that_the_other_board_read_come_along_and_its_held_out_do_not():
    other = with_blocks(block_table(OWN), [network([64])])
    begun = begun_from(other, block_table(OWN, learned=8, seed=7))
    assert [n.name for n in begun.networks] == ["net", "block1"]
    before = [row for row in begun.rows if row.role == "before"]
    assert len(before) == sum(row.role != "held out" for row in other.rows)
    assert {row.network for row in before} == {0, 1}
    assert len(begun.whole("network")) == 8


def test_what_the_other_was_begun_from_itself_is_no_third_speed_among_its_rows():
    first = times(4.0, block_table(OWN))
    second = begun_from(first, block_table(OWN, learned=8, seed=7))
    third = begun_from(second, times(2.0, block_table(OWN, learned=6, seed=9)))
    before = [row for row in third.rows if row.role == "before"]
    own = {row.widths: row.latency_ms for row in second.whole("network")}
    assert {row.widths: row.latency_ms for row in before} == own


def test_a_table_of_another_network_is_refused_with_both_named():
    base = small_nets.chain()
    refuse_other(table_of(base), base)
    with pytest.raises(InputError, match="another network") as raised:
        refuse_other(block_table(OWN), base)
    assert "net" in raised.value.given and base.architecture[:12] in raised.value.possible
