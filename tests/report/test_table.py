"""The closing table in a terminal, as text and as data."""

from __future__ import annotations

import json
from dataclasses import replace

from hwprune.report.table import plain_table, table_json
from tests.report.sample import make_result, make_small_result
from tests.report.sample_certificate import make_certificate


def test_it_shows_the_three_networks_with_interval_memory_and_verdict():
    text = plain_table(make_result())
    row = next(line for line in text.splitlines() if line.startswith(" hwprune"))
    assert " ".join(row.split()) == (
        "hwprune 91.88 % 2.26 2.24 – 2.28 2.08× 0.680 142 k 19.4 M PASS"
    )
    assert " unpruned" in text and " uniform" in text


def test_it_fits_80_columns_without_cutting_anything_off():
    text = plain_table(make_small_result(), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "NOT SHOWN" in text


def test_a_failed_certificate_says_by_how_much():
    text = plain_table(make_result(make_certificate(2.6)))
    assert "FAIL" in text and "over the limit" in text


def test_a_network_that_could_not_be_measured_has_a_dash_and_no_number():
    result = make_small_result()
    lost = replace(result.rows[-1], latency_ms=None, low_ms=None, high_ms=None, memory_mb=None)
    text = plain_table(replace(result, rows=(result.rows[0], lost)))
    row = next(line for line in text.splitlines() if line.startswith(" hwprune"))
    assert row.split()[3:7] == ["–", "–", "–", "–"]


def test_the_data_form_is_json_with_a_verdict_a_row():
    data = json.loads(json.dumps(table_json(make_result())))
    assert data["passed"] is True
    assert [row["verdict"] for row in data["rows"]] == [None, "PASS", "PASS"]
    assert data["certificate"]["findings"][0]["limit"] == 2.35


def untold():
    """A result of a board whose runtime does not tell what memory networks take."""
    result = make_small_result()
    return replace(result, rows=tuple(replace(row, memory_mb=None) for row in result.rows))


def test_memory_that_was_not_told_is_neither_a_number_nor_a_failure():
    text = plain_table(untold(), width=80)
    rows = [line for line in text.splitlines() if line.startswith((" hwprune", " unpruned"))]
    assert len(rows) == 2 and all("not told" in row for row in rows)
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert all(row["memory_mb"] is None for row in table_json(untold())["rows"])
