"""A latency table is built on this machine, goes on where it ended, and is refreshed."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import asdict, replace
from itertools import product

import numpy as np
import onnxruntime
import pytest

from hwprune.board import this_machine
from hwprune.channels.base import make_base
from hwprune.cli.checks.board import tiny_network
from hwprune.errors import BoardError, InputError
from hwprune.farm.store import ReadingStore
from hwprune.farm.store_entries import entries
from hwprune.pipeline.build_table import TableSettings, build_table
from hwprune.pipeline.refresh_table import decided, refresh_table
from hwprune.progress import Silent
from hwprune.search_settings import SearchSettings
from hwprune.tables.model import TableModel
from hwprune.tables.shelf import fits
from hwprune.tables.table import latencies_of, widths_of
from hwprune.tables.table_file import read_table, write_table
from hwprune.user_cache import store_path
from hwprune_device.job import Protocol
from tests.tables import small_nets
from tests.tables.block_board import block_ms, block_table, network
from tests.tables.tabled import table_of

QUICK = Protocol(rounds=3, max_rounds=3, disturbed_rounds=1, precision_pct=100.0)
BOARD = replace(this_machine(), protocol=QUICK)
SETTINGS = TableSettings(held_out=4, widths=SearchSettings(multiple_of=8))


@pytest.fixture(scope="module")
def base():
    return small_nets.chain()


@pytest.fixture(scope="module", autouse=True)
def own_store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWPRUNE_STORE", str(tmp_path_factory.mktemp("store") / "s.sqlite"))
        yield


def build(base, settings=SETTINGS):
    return build_table(base, "chain", [BOARD], settings, Silent())


@pytest.fixture(scope="module")
def built(base):
    return build(base)


def trusted(table):
    """The table as a still machine would have read it, without doubts."""
    return replace(table, rows=tuple(replace(row, doubts="") for row in table.rows))


def test_a_table_has_the_network_its_blocks_and_its_error(built, base):
    table = built.table
    assert built.complete and not built.failures
    assert [n.name for n in table.networks if n.count] == ["chain", "0", "2", "4", "8"]
    assert fits(table, base, BOARD)
    assert table.target == asdict(BOARD.target)
    assert table.runtime_version == onnxruntime.__version__
    assert table.conditions and table.device_minutes > 0
    choices = [(4, 8), (8, 16), (8, 16)]
    # Of all rows: a restless machine's may be doubted.
    assert {row.widths for row in table.rows if row.role == "network"} >= {base.widths}
    assert {r.widths for r in table.rows if r.network == 0} <= set(product(*choices))
    for number in range(1, 5):
        assert len([row for row in table.rows if row.network == number]) >= 4
    held_out = [row.widths for row in table.rows if row.role == "held out"]
    learned = {row.widths for row in table.rows if row.role == "network"}
    assert len(held_out) == 2 and not set(held_out) & learned


def test_what_it_says_of_the_network_is_near_what_was_read(built):
    table = trusted(built.table)
    rows = table.whole("network", "held out")
    found = TableModel(table).latency_ms(widths_of(rows))
    # Few rounds on a machine that others use: an order of magnitude is what can be asked.
    assert np.median(np.abs(np.log(found / latencies_of(rows)))) < np.log(2)


def test_a_built_table_is_read_as_it_was_written(built, tmp_path):
    table = trusted(built.table)
    write_table(table, tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    # Lists are what JSON makes of tuples; nothing else may differ.
    assert replace(found, conditions={}, networks=()) == replace(table, conditions={}, networks=())
    for mine, theirs in zip(found.networks, table.networks, strict=True):
        assert replace(mine, peak=None, weights=None) == replace(theirs, peak=None, weights=None)
    widths = widths_of(table.whole("network"))
    np.testing.assert_allclose(
        TableModel(found).latency_ms(widths), TableModel(table).latency_ms(widths)
    )


def good_readings():
    """Of each network cut from a base, how many readings the store would serve."""
    with closing(ReadingStore(store_path())) as store:
        cuts = [entry.cut for entry in entries(store) if not entry.reading.doubts]
    return Counter((cut.base_id, cut.widths) for cut in cuts if cut is not None)


def test_building_again_measures_nothing_twice(built, base):
    before = good_readings()
    assert build(base).complete
    after = good_readings()
    # A restless board may come to doubt what it had read well; that is then read once more.
    assert before and all(after[cut] <= before[cut] for cut in before)


def test_minutes_that_are_over_leave_a_table_that_can_be_read(base, tmp_path):
    found = build(base, replace(SETTINGS, minutes=0.0))
    assert not found.complete and not found.table.errors
    write_table(trusted(found.table), tmp_path / "t.parquet")
    model = TableModel(read_table(tmp_path / "t.parquet"))
    assert model.latency_ms(np.array([base.widths]))[0] > 0
    assert model.interval is None


def test_what_searches_have_read_is_learned_from_but_not_what_is_held_out(built, base):
    """All whole networks of the first build are in the store."""
    found = build(base, replace(SETTINGS, minutes=0.0)).table
    held_out = {row.widths for row in built.table.rows if row.role == "held out"}
    # What a restless board doubted itself is not served again.
    good = [r for r in built.table.rows if not r.doubts]
    known = {r.widths for r in good if r.network == 0} - held_out | {base.widths}
    learned = {row.widths for row in found.rows}
    assert known <= learned and not learned & held_out


def test_a_table_begun_from_another_boards_needs_few_readings_and_no_blocks(built, base):
    other = replace(trusted(built.table), board="other", runtime_version="0.1")
    settings = replace(SETTINGS, begin_from=other, readings=2)
    found = build(base, settings).table
    assert found.begun_from.startswith("chain on other, onnxrt 0.1")
    assert {row.role for row in found.rows} == {"network", "held out", "before"}
    assert sum(row.role == "network" for row in found.rows) == 3  # with the unpruned one
    assert found.board == BOARD.kind


def test_a_table_of_another_network_is_nothing_to_begin_from(base):
    with pytest.raises(InputError, match="another network"):
        build(base, replace(SETTINGS, begin_from=block_table(network([64]))))


def test_boards_of_two_kinds_are_refused_and_named(base):
    other = replace(BOARD, name="b", kind="b")
    with pytest.raises(InputError, match="one kind of board") as raised:
        build_table(base, "chain", [BOARD, other], SETTINGS, Silent())
    assert "b" in raised.value.given
    with pytest.raises(InputError, match="one kind of board"):
        build_table(base, "chain", [], SETTINGS, Silent())


def test_boards_of_a_kind_that_run_networks_otherwise_are_refused(base):
    other = replace(BOARD, name="b", target=replace(BOARD.target, threads=2))
    with pytest.raises(BoardError, match="not alike"):
        build_table(base, "chain", [BOARD, other], SETTINGS, Silent())


def test_a_table_in_a_boards_place_is_nothing_to_measure(base, tmp_path):
    paper = replace(BOARD, connection="table", table=str(tmp_path / "t.parquet"))
    with pytest.raises(InputError, match="latency table"):
        build_table(base, "chain", [paper], SETTINGS, Silent())
    with pytest.raises(InputError, match="latency table"):
        refresh_table(table_of(base), base, [paper], Silent())


def test_a_network_that_cannot_be_cut_has_no_table():
    with pytest.raises(InputError, match="nothing of this network can be cut"):
        build(make_base(tiny_network()))


def test_a_refresh_reads_again_and_decides(built, base):
    found = refresh_table(trusted(built.table), base, [BOARD], Silent())
    assert found.verdict in ("good", "scale", "rebuild")
    assert 0.2 < found.ratio < 5
    assert found.error.count >= 2
    expected = found.ratio if found.verdict == "scale" else 1.0
    assert found.table.scale == pytest.approx(expected)


def test_a_refresh_of_another_network_or_another_board_is_refused(built, base):
    with pytest.raises(InputError, match="another network"):
        refresh_table(built.table, small_nets.vectors(), [BOARD], Silent())
    for other in (
        replace(BOARD, kind="other"),
        replace(BOARD, target=replace(BOARD.target, threads=2)),
    ):
        with pytest.raises(InputError, match="another board"):
            refresh_table(built.table, base, [other], Silent())


OWN = network([64, 48])
TABLE = block_table(OWN)


def now(factor: float, noise: float = 0.005, seed: int = 5):
    """Some of the table's rows, and what the board reads of them today."""
    rows = TABLE.rows[10:30]
    widths = widths_of(rows)
    chance = np.random.default_rng(seed)
    return (
        widths,
        latencies_of(rows),
        factor * block_ms(OWN, widths) * np.exp(chance.normal(0, noise, len(rows))),
    )


def test_a_board_that_is_as_it_was_leaves_the_table_good():
    found = decided(TABLE, *now(1.0))
    assert found.verdict == "good" and found.table == TABLE
    assert found.ratio == pytest.approx(1.0, abs=0.01) and found.error.mape_pct < 3


@pytest.mark.parametrize("factor", [0.5, 1.1, 3.0])
def test_a_board_that_is_slower_or_faster_throughout_scales_the_table(factor):
    found = decided(TABLE, *now(factor))
    assert found.verdict == "scale" and found.table.scale == pytest.approx(factor, rel=0.01)
    assert found.error.mape_pct < 3
    # And again, on the scaled table: nothing has moved since.
    again = decided(found.table, *now(factor, seed=6))
    assert again.verdict == "good" and again.table.scale == found.table.scale
    back = decided(found.table, *now(1.0))
    assert back.verdict == "scale" and back.table.scale == pytest.approx(1.0, rel=0.02)


def test_a_board_that_changed_in_parts_wants_the_table_built_again():
    widths, then, read = now(1.0)
    read = np.where(widths[:, 1] % 16 == 0, 0.5, 1.3) * read
    found = decided(TABLE, widths, then, read)
    assert found.verdict == "rebuild" and found.table == TABLE and found.spread_pct > 5


def test_a_few_odd_readings_do_not_move_a_verdict():
    widths, then, read = now(1.0)
    read[0] *= 1.2
    assert decided(TABLE, widths, then, read).verdict == "good"
