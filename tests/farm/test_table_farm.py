"""A latency table in a board's place: it says what was read, predicts the rest, and says which."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwprune.board import load_board, this_machine
from hwprune.candidate import Candidate
from hwprune.channels.base import make_base
from hwprune.errors import BoardError, InputError
from hwprune.farm.fleet import Fleet
from hwprune.farm.store import ReadingStore
from hwprune.farm.table_farm import TableFarm
from hwprune.tables.model import TableModel
from hwprune.tables.table_file import read_table, write_table
from hwprune_device.reading import PREDICTED, Failure, Reading
from tests.tables import small_nets
from tests.tables.tabled import table_of

UNREAD = (3, 5, 7)


@pytest.fixture(scope="module")
def base():
    return small_nets.chain()


@pytest.fixture(scope="module")
def table(base):
    table = table_of(base)
    assert UNREAD not in {row.widths for row in table.rows}
    return table


@pytest.fixture
def board(table, tmp_path):
    write_table(table, tmp_path / "t.parquet")
    (tmp_path / "paper.toml").write_text('connection = "table"\ntable = "t.parquet"\n')
    return load_board(tmp_path / "paper.toml")


@pytest.fixture
def farm(board, base):
    farm = TableFarm(board)
    farm.start()
    farm.place(base)
    return farm


def asked(farm: TableFarm, widths) -> Reading:
    outcome = farm.measure([Candidate(widths=tuple(widths))])[0].result()
    assert isinstance(outcome, Reading)
    return outcome


def test_a_candidate_that_was_read_is_served_as_it_was_read(farm, table, base):
    for row in table.whole("network", "held out")[:10]:
        found = asked(farm, row.widths)
        assert (found.latency_ms, found.low_ms, found.high_ms) == (
            row.latency_ms,
            row.low_ms,
            row.high_ms,
        )
        assert found.quantile_ms(0.95) == pytest.approx(row.p95_ms)
        assert found.quantile_ms(0.5) == pytest.approx(row.latency_ms)
        assert found.architecture == base.architecture_of(row.widths)
        assert found.conditions[PREDICTED].startswith("a reading in the table")


def test_all_others_are_predicted_with_the_tables_interval(farm, table):
    found = asked(farm, UNREAD)
    (believed,) = TableModel(table).predict(np.array([UNREAD]))
    assert (found.latency_ms, found.low_ms, found.high_ms) == (
        believed.latency_ms,
        believed.low_ms,
        believed.high_ms,
    )
    assert found.conditions[PREDICTED].startswith("predicted from the table")
    assert "this-machine" in found.conditions[PREDICTED]


def test_a_scaled_table_scales_readings_and_predictions(board, base, farm, table):
    write_table(replace(table, scale=2.0), Path(board.table))
    twice = TableFarm(board)
    twice.start()
    twice.place(base)
    for widths in (UNREAD, table.rows[3].widths):
        assert asked(twice, widths).latency_ms == pytest.approx(2 * asked(farm, widths).latency_ms)
        assert asked(twice, widths).high_ms == pytest.approx(2 * asked(farm, widths).high_ms)


def test_the_unpruned_network_and_a_fresh_reading_say_the_same(farm, base):
    calm = farm.calibrate()
    assert isinstance(calm, Reading) and calm.latency_ms == asked(farm, base.widths).latency_ms
    again = farm.remeasure(Candidate(widths=UNREAD), 3)
    assert {reading.latency_ms for reading in again} == {asked(farm, UNREAD).latency_ms}


def test_a_reading_of_a_table_goes_through_json(farm):
    reading = asked(farm, UNREAD)
    assert Reading.from_json(reading.to_json()).conditions == reading.conditions


def test_a_table_that_was_never_judged_claims_no_bound(board, base, table):
    write_table(replace(table, rows=table.rows[:5], errors={}, source=""), Path(board.table))
    farm = TableFarm(board)
    farm.start()
    farm.place(base)
    reading = asked(farm, UNREAD)
    assert 2 * reading.low_ms <= reading.latency_ms <= reading.high_ms / 2


def test_a_candidate_unlike_all_that_was_read_is_doubted(farm, table, board):
    assert not asked(farm, UNREAD).doubts
    rows = tuple(row for row in table.rows if row.widths[1] >= 8)
    write_table(replace(table, rows=rows), Path(board.table))
    farm.start()
    (doubt,) = asked(farm, (8, 2, 8)).doubts
    assert "narrower than what was measured" in doubt and "of 2" in doubt


def test_a_network_of_unknown_layers_is_refused_with_their_names(board):
    farm = TableFarm(board)
    farm.start()
    with pytest.raises(InputError, match="does not know this network") as raised:
        farm.place(small_nets.tokens())
    assert "enter, inner.0" in raised.value.given and "table build" in raised.value.next_step


def test_another_network_of_known_layers_is_predicted(board, base, table):
    kept = make_base(base.onnx, ignore=(base.plan.groups[0].name,))
    farm = TableFarm(board)
    farm.start()
    farm.place(kept)
    reading = asked(farm, (4, 8))
    assert reading.conditions[PREDICTED].startswith("predicted")
    own = float(TableModel(table).latency_ms(np.array([(8, 4, 8)]))[0])
    assert reading.latency_ms == pytest.approx(own, rel=0.25)
    # How far it errs on a network that nothing was held out of is not known.
    assert 2 * reading.low_ms <= reading.latency_ms <= reading.high_ms / 2


def test_what_cannot_be_predicted_is_a_failure_and_no_number(board, base, table):
    rows = tuple(
        replace(r, latency_ms=float(max(1e-9, 1 - (r.widths[0] - 1) / 8))) for r in table.rows[:3]
    )
    write_table(replace(table, rows=rows, errors={}, source=""), Path(board.table))
    farm = TableFarm(board)
    farm.start()
    farm.place(base)
    for future in farm.measure([Candidate(widths=(w, w, w)) for w in range(1, 9)]):
        outcome = future.result()
        assert isinstance(outcome, Failure) or outcome.latency_ms > 0


def test_a_table_runs_no_network_and_makes_no_engine(farm, base):
    with pytest.raises(BoardError, match="runs no network"):
        farm.run_network(base.onnx, [])
    assert farm.engine(base.onnx, []) is None


def test_nothing_is_asked_before_a_network_is_placed(board):
    farm = TableFarm(board)
    farm.start()
    with pytest.raises(BoardError, match="no network was placed"):
        farm.calibrate()


def test_a_file_that_is_not_there_ends_the_start(board):
    with pytest.raises(InputError, match="no latency table"):
        TableFarm(replace(board, table=board.table + ".not")).start()


def test_a_fleet_asks_a_table_as_it_asks_boards(board, base, tmp_path, table):
    with closing(ReadingStore(tmp_path / "s.sqlite")) as store:
        fleet = Fleet.of_boards([board], store)
        fleet.start()
        fleet.place(base)
        (found,) = fleet.measure([Candidate(widths=UNREAD)])
        assert isinstance(found.result()[board.kind], Reading)
        assert fleet.timings()["candidates"] == 1 and fleet.timings()["busy"] == 0
        fleet.close()


def test_a_table_beside_boards_of_its_kind_is_refused(board, tmp_path):
    beside = replace(this_machine(), kind=board.kind)
    with closing(ReadingStore(tmp_path / "s.sqlite")) as store:
        with pytest.raises(BoardError, match="a latency table beside other boards"):
            Fleet.of_boards([beside, board], store)
        assert len(Fleet.of_boards([this_machine(), board], store).farms) == 2


def test_read_tables_and_written_ones_are_equal(board, table):
    assert read_table(Path(board.table)) == table
