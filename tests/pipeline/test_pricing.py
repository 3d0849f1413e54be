"""Latency tables before boards: what is surely over a budget is not measured, all else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwprune.budget import Constraint
from hwprune.candidate import Candidate
from hwprune.errors import DeploymentError
from hwprune.pipeline.pricing import ENOUGH, Pricing, tables_for
from hwprune.progress import Silent
from hwprune.tables.model import TableModel, judged
from hwprune.tables.table import Table
from hwprune.tables.table_file import read_table, write_table
from hwprune_device.reading import Reading
from tests.pipeline.benches import base, farm, make_bench
from tests.tables import small_nets
from tests.tables.tabled import table_of

LIMIT = Constraint(quantity="latency_ms", at_most=0.1)


@pytest.fixture(scope="module")
def table() -> Table:
    """Of the simulated farm, as it would have been built there."""
    boards = farm()
    boards.place(base())
    chance = np.random.default_rng(0)
    rows = []
    for row in table_of(base()).rows:
        widths = tuple(int(w) for w in chance.choice(np.arange(4, 33, 4), 3))
        (future,) = boards.measure([Candidate(widths=widths)])
        reading = future.result()
        assert isinstance(reading, Reading)
        rows.append(
            replace(
                row,
                widths=widths,
                latency_ms=reading.latency_ms,
                low_ms=reading.low_ms,
                high_ms=reading.high_ms,
            )
        )
    found = judged(replace(table_of(base()), rows=tuple(rows), source="", errors={}))
    assert found.errors[found.source].interval_pct < 25
    return found


@pytest.fixture
def pricing(table) -> Pricing:
    return Pricing(base().cost_model, {"here": TableModel(table)}, ("here",))


def candidate(width: int) -> Candidate:
    return Candidate(widths=(width,) * 3)


def latency(table: Table, one: Candidate) -> float:
    return float(TableModel(table).latency_ms(np.array([one.widths]))[0])


def bench_with(pricing: Pricing, tmp_path, **keys):
    boards = farm()
    bench = make_bench(tmp_path, farms={"here": boards}, cost="hybrid", **keys)
    bench.pricing = pricing
    bench.bound(Silent())
    bench.refer_to_unpruned()
    return bench, boards


def evaluated(bench, *candidates):
    return [future.result(30) for future in bench.evaluate(candidates)]


def test_what_is_surely_over_the_budget_is_not_measured_and_said_to_be_predicted(
    pricing, tmp_path
):
    bench, boards = bench_with(pricing, tmp_path)
    before = boards.measured
    wide, narrow = evaluated(bench, candidate(28), candidate(12))
    assert boards.measured == before + 1
    assert not wide.measured and not wide.feasible and wide.excess["latency_ms"] > 0
    assert wide.costs == wide.predicted
    assert narrow.measured and narrow.feasible
    assert narrow.predicted["latency_ms"] == pytest.approx(narrow.costs["latency_ms"], rel=0.25)


def test_where_all_is_to_be_measured_a_table_only_predicts(pricing, tmp_path):
    bench, boards = bench_with(pricing, tmp_path)
    deployment = bench.prepared.deployment
    measured = replace(deployment, search=replace(deployment.search, cost="measured"))
    bench.prepared = replace(bench.prepared, deployment=measured)
    before = boards.measured
    (wide,) = evaluated(bench, candidate(28))
    assert boards.measured == before + 1 and wide.measured and wide.predicted


def test_with_a_limit_that_no_table_tells_of_everything_is_measured(pricing, tmp_path):
    bench, boards = bench_with(
        pricing, tmp_path, budget={"latency_ms": "50 %", "memory_mb": "90 %"}
    )
    before = boards.measured
    (wide,) = evaluated(bench, candidate(28))
    assert boards.measured == before + 1 and wide.measured


def test_with_limits_that_the_structure_tells_of_the_board_is_spared(pricing, tmp_path):
    bench, boards = bench_with(pricing, tmp_path, budget={"latency_ms": "50 %", "macs": "80 %"})
    before = boards.measured
    (wide,) = evaluated(bench, candidate(28))
    assert boards.measured == before and not wide.measured
    assert wide.costs["macs"] == base().cost_model.macs((28, 28, 28))


def test_of_several_budgets_only_what_is_over_all_of_them_is_spared(pricing, tmp_path):
    budgets = [{"name": "tight", "latency_ms": "30 %"}, {"name": "wide", "latency_ms": "70 %"}]
    bench, boards = bench_with(pricing, tmp_path, budget=budgets)
    before = boards.measured
    over_one, over_both = evaluated(bench, candidate(20), candidate(32))
    assert over_one.measured
    # The unpruned network was measured, and is served.
    assert not over_both.measured and boards.measured == before + 1


def test_a_price_below_the_limit_or_about_it_is_not_surely_over(pricing, table):
    for width in (4, 12, 20, 32):
        price = pricing.price(candidate(width), {"ms": LIMIT})
        believed = latency(table, candidate(width))
        assert price.costs["ms"] == pytest.approx(believed)
        assert price.lowest["ms"] < believed
        for share in (0.5, 0.999, 1.001, 2.0):
            limit = replace(LIMIT, at_most=price.lowest["ms"] * share)
            assert pricing.sure_over(price, {"ms": limit}) == (share < 1)


def test_a_table_that_was_never_judged_is_sure_of_nothing(table):
    unjudged = replace(table, errors={})
    pricing = Pricing(base().cost_model, {"here": TableModel(unjudged)}, ("here",))
    price = pricing.price(candidate(32), {"ms": LIMIT})
    assert not pricing.sure_over(price, {"ms": replace(LIMIT, at_most=1e-9)})


def test_what_a_table_misses_is_corrected_after_some_readings(pricing, table):
    limits = {"ms": LIMIT}
    for number, width in enumerate((4, 8, 12, 16, 20, 24)):
        price = pricing.price(candidate(width), limits)
        factor = 1.5 if number >= ENOUGH else 1.0
        assert price.costs["ms"] == pytest.approx(factor * latency(table, candidate(width)))
        pricing.learn(price, {"ms": 1.5 * latency(table, candidate(width))})
    assert pricing.price(candidate(28), limits).costs["ms"] == pytest.approx(
        1.5 * latency(table, candidate(28))
    )


def test_candidates_priced_at_once_are_corrected_by_what_the_table_itself_said(pricing, table):
    """Boards answer one after another, long after all were priced."""
    limits = {"ms": LIMIT}
    asked = [candidate(width) for width in range(4, 33, 2)]
    prices = [pricing.price(one, limits) for one in asked]
    for one, price in zip(asked, prices, strict=True):
        pricing.learn(price, {"ms": 2 * latency(table, one)})
    (late,) = [pricing.price(candidate(30), limits)]
    assert late.costs["ms"] == pytest.approx(2 * latency(table, candidate(30)))


def test_a_reading_of_nothing_teaches_nothing(pricing, table):
    price = pricing.price(candidate(8), {"ms": LIMIT})
    for _ in range(2 * ENOUGH):
        pricing.learn(price, {"ms": 0.0})
        pricing.learn(price, {})
    found = pricing.price(candidate(8), {"ms": LIMIT}).costs["ms"]
    assert found == pytest.approx(latency(table, candidate(8)))


def test_a_kind_without_a_table_has_no_price(table):
    pricing = Pricing(base().cost_model, {"here": TableModel(table)}, ("there", "here"))
    limits = {"first": LIMIT, "here": replace(LIMIT, kind="here")}
    price = pricing.price(candidate(32), limits)
    assert set(price.costs) == {"here"}
    # What is not known of the other kind could be anything: it has to be measured.
    tight = {label: replace(c, at_most=1e-9) for label, c in limits.items()}
    assert not pricing.sure_over(price, tight)


def test_forms_for_a_search_are_shares_of_the_limit(pricing, table):
    forms = pricing.forms({"ms": LIMIT, "macs": Constraint(quantity="macs", at_most=10)})
    assert set(forms) == {"ms"}
    assert forms["ms"].start == pytest.approx(TableModel(table).forms.start / 0.1)


def test_tables_that_are_named_must_fit_a_board(tmp_path, table, monkeypatch):
    monkeypatch.setenv("HWPRUNE_TABLES", str(tmp_path / "shelf"))
    bench = make_bench(tmp_path, farms={"this-machine": farm()})
    boards = bench.prepared.boards
    write_table(table, tmp_path / "t.parquet")
    named = (str(tmp_path / "t.parquet"),)
    found = tables_for(named, base(), boards)
    assert {kind: found[kind].rows for kind in found} == {
        "this-machine": read_table(tmp_path / "t.parquet").rows
    }
    assert tables_for((), base(), boards) == tables_for(None, base(), boards) == {}
    with pytest.raises(DeploymentError, match="fits no board") as raised:
        tables_for(named, small_nets.chain(), boards)
    assert "table build" in raised.value.next_step
    (tmp_path / "shelf").mkdir()
    write_table(table, tmp_path / "shelf" / "mine.parquet")
    assert tables_for(None, base(), boards)["this-machine"].rows == table.rows
