"""The model of a table: the source that errs least, intervals that hold, and what is outside."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from hwprune.candidate import GroupChoice, SearchSpace
from hwprune.errors import InputError
from hwprune.tables.model import SOURCES, TableModel, error_of, far_of, judged
from hwprune.tables.table import Table, latencies_of, widths_of
from tests.tables.block_board import block_ms, block_table, network, with_blocks

INNER = (64, 48, 64)
OWN = network(INNER)


def unseen(count: int, seed: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    return np.stack([chance.choice(np.arange(4, w + 1, 4), count) for w in OWN.full], axis=1)


def test_the_source_that_errs_least_is_believed():
    table = with_blocks(block_table(OWN, learned=12, noise=0.002), [network([64])])
    assert set(table.errors) == set(SOURCES)
    least = min(table.errors.values(), key=lambda error: error.mape_pct)
    assert table.errors[table.source] == least
    # Twelve networks tell less than blocks do.
    assert table.source != "networks"
    made = [
        error_of(
            TableModel(table, source).latency_ms(widths_of(table.whole("held out"))),
            latencies_of(table.whole("held out")),
        )
        for source in SOURCES
    ]
    assert made == [table.errors[source] for source in SOURCES]


@pytest.mark.parametrize("noise", [0.005, 0.03])
def test_the_interval_holds_nine_of_ten_fresh_candidates(noise):
    model = TableModel(block_table(OWN, noise=noise, held_out=40, seed=3))
    widths = unseen(500, 11)
    read = block_ms(OWN, widths) * np.exp(np.random.default_rng(12).normal(0, noise, 500))
    held = [p.low_ms <= ms <= p.high_ms for p, ms in zip(model.predict(widths), read, strict=True)]
    assert np.mean(held) >= 0.9


def test_a_candidate_narrower_than_all_that_was_read_is_said_to_be_outside():
    model = TableModel(block_table(OWN))
    inside, outside = model.predict(np.array([[16, 16, 16, 16], [16, 2, 16, 16]]))
    assert inside.outside == ""
    assert "part1.1.conv1 of 2 (measured from 4)" in outside.outside


def test_a_board_that_takes_equally_long_for_all_gives_finite_numbers():
    table = block_table(OWN)
    rows = tuple(replace(r, latency_ms=1.0, low_ms=1.0, high_ms=1.0) for r in table.rows)
    flat = judged(replace(table, rows=rows))
    assert all(np.isfinite(list(asdict(error).values())).all() for error in flat.errors.values())
    (found,) = TableModel(flat).predict(np.array([OWN.full]))
    assert found.latency_ms == pytest.approx(1.0, rel=1e-3)
    assert np.isfinite([found.low_ms, found.high_ms]).all()


def test_predictions_below_zero_give_an_error_that_can_be_written():
    error = error_of(np.array([-1.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0]))
    json.dumps(asdict(error), allow_nan=False)
    assert (far_of(np.array([-1.0, 0.0]), np.ones(2)) > far_of(np.array([0.1]), np.ones(1))).all()
    assert error.interval_pct > 100 and error.worst_pct == pytest.approx(200)


def test_a_table_without_a_good_row_says_what_to_do():
    table = block_table(OWN)
    doubted = replace(table, rows=tuple(replace(r, doubts="throttled") for r in table.rows))
    for bad in (doubted, replace(table, rows=())):
        with pytest.raises(InputError, match="no row to predict from") as raised:
            TableModel(bad)
        assert raised.value.next_step
    # What is held out alone is nothing to learn from.
    with pytest.raises(InputError):
        TableModel(replace(table, rows=tuple(table.whole("held out"))))
    assert judged(doubted).source == ""


def test_a_table_of_one_reading_predicts_and_does_not_say_how_sure_it_is():
    table = judged(replace(block_table(OWN), rows=block_table(OWN).rows[:1], errors={}))
    model = TableModel(table)
    (found,) = model.predict(np.array([OWN.full]))
    assert model.interval is None and found.high_ms == np.inf and found.low_ms == 0
    assert found.latency_ms == pytest.approx(table.rows[0].latency_ms, rel=0.2)


def test_a_source_whose_rows_are_gone_is_not_used():
    table = with_blocks(block_table(OWN, learned=12), [network([64])])
    only = replace(table, rows=tuple(r for r in table.rows if r.role == "network"))
    TableModel(replace(only, source="blocks")).latency_ms(np.array([OWN.full]))
    blocks = replace(table, rows=tuple(r for r in table.rows if r.role == "block"))
    assert TableModel(replace(blocks, source="networks")).source == "blocks"


def test_a_scale_moves_all_that_is_predicted():
    table = with_blocks(block_table(OWN, learned=12), [network([64])])
    one, twice = TableModel(table), TableModel(replace(table, scale=2.0))
    widths = unseen(5, 1)
    np.testing.assert_allclose(twice.latency_ms(widths), 2 * one.latency_ms(widths))
    np.testing.assert_allclose(
        twice.of_other(OWN.layers, widths), 2 * one.of_other(OWN.layers, widths)
    )
    layers, doubled = one.by_layer_ms(OWN.full), twice.by_layer_ms(OWN.full)
    assert doubled == pytest.approx({name: 2 * ms for name, ms in layers.items()})
    assert twice.forms.start == pytest.approx(2 * one.forms.start)
    assert twice.interval == one.interval
    for source, error in judged(replace(table, scale=2.0)).errors.items():
        assert error.mape_pct == pytest.approx(table.errors[source].mape_pct)


def test_blocks_tell_of_another_network_and_name_what_they_do_not_know():
    model = TableModel(with_blocks(block_table(OWN), [network([64]), network([32, 48])]))
    other = network([64] * 6)
    widths = np.stack([np.full(7, width) for width in (16, 24, 48, 64)])
    true = block_ms(other, widths)
    assert np.abs(model.of_other(other.layers, widths) / true - 1).max() < 0.1
    strange = replace(other.layers[0], name="strange", kernel=49)
    assert model.unread([*other.layers, strange]) == ["strange"]


def test_memory_is_predicted_where_the_runtime_told():
    table = block_table(OWN)
    assert TableModel(table).memory_mb(np.array([OWN.full])) is None
    rows = tuple(replace(r, memory_mb=_megabytes(r.widths)) for r in table.rows)
    told = judged(replace(table, rows=rows))
    assert told.memory_error is not None and told.memory_error.mape_pct < 2
    widths = unseen(20, 4)
    found = [p.memory_mb for p in TableModel(told).predict(widths)]
    np.testing.assert_allclose(found, [_megabytes(row) for row in widths], rtol=0.1)


def _megabytes(widths) -> float:
    return 5 * float(block_ms(OWN, np.array([widths]))[0])


def test_a_space_of_other_groups_is_not_the_tables():
    model = TableModel(block_table(OWN))
    groups = tuple(GroupChoice(name=n, width=w, choices=(w,)) for n, w in OWN.groups)
    assert model.is_of(SearchSpace(groups=groups))
    assert not model.is_of(SearchSpace(groups=groups[:-1]))


def of_other_board(table: Table, factor: float) -> Table:
    rows = [replace(r, role="before", latency_ms=factor * r.latency_ms) for r in table.rows]
    return replace(table, rows=tuple(rows))


def test_what_another_board_took_is_no_source_alone():
    with pytest.raises(InputError):
        TableModel(of_other_board(block_table(OWN), 3.0))


def test_what_another_board_took_helps_few_readings_and_is_not_taken_for_them():
    other = of_other_board(block_table(OWN), 3.0)
    few = block_table(OWN, learned=8, seed=5)
    begun = judged(replace(few, rows=few.rows + other.rows))
    assert begun.errors["both"].mape_pct < begun.errors["networks"].mape_pct
    assert begun.source == "both" and begun.errors["both"].mape_pct < 5
