"""Tables that come back: whole from CSV with its header, rows alone from once-for-all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml

from hwprune.errors import InputError
from hwprune.tables.difference import difference
from hwprune.tables.exports import FORMS
from hwprune.tables.imports import read_foreign
from hwprune.tables.model import TableModel
from hwprune.tables.table_file import read_table, write_table
from tests.tables.mobile_tables import mobile

PIXEL = """
Conv-input:160x160x3-output:80x80x24: {count: 20, mean: 2.5, std: 0.1}
expanded_conv-input:80x80x24-output:40x40x32-expand:72-kernel:5-stride:2-idskip:0-se:0-hs:1:
  {count: 20, mean: 4.0, std: 0.2}
expanded_conv-input:80x80x24-output:40x40x24-expand:96-kernel:5-stride:2-idskip:0-se:0-hs:1:
  {count: 20, mean: 4.5, std: 0.2}
expanded_conv-input:40x40x32-output:40x40x32-expand:6-kernel:3-stride:1-idskip:1:
  {count: 10, mean: 3.0, var: 0.04}
"""


@pytest.fixture(scope="module")
def table():
    return mobile(third_version=True)


def test_csv_with_its_header_is_the_table_again(table, tmp_path):
    doubted = replace(table.rows[1], doubts='clock moved,\n twice; "hot"', memory_mb=1.5)
    table = replace(table, rows=(table.rows[0], doubted, *table.rows[2:]), scale=1.25)
    FORMS["csv"](table, tmp_path / "t.csv", 8)
    back, left_out = read_foreign(tmp_path / "t.csv")
    assert left_out == () and back == table
    widths = np.array([table.own.full])
    assert TableModel(back).latency_ms(widths) == TableModel(table).latency_ms(widths)


def test_csv_alone_gives_rows_that_cannot_predict(table, tmp_path):
    for file in FORMS["csv"](table, tmp_path / "t.csv", 8).files[1:]:
        file.unlink()
    back, _ = read_foreign(tmp_path / "t.csv")
    assert back.rows == table.rows and back.board == "lab-pi"
    assert back.own.groups == table.own.groups and back.target == table.target
    with pytest.raises(InputError, match="cannot predict"):
        TableModel(back)
    assert FORMS["pyperf"](back, tmp_path / "suite.json", 8).entries == len(table.rows)


def test_csv_with_a_wrong_row_says_which(table, tmp_path):
    FORMS["csv"](table, tmp_path / "t.csv", 8)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    lines[3] = lines[3].replace(",lab-pi", "").replace(f",{table.rows[2].latency_ms!r},", ",-1.0,")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match="line 4"):
        read_foreign(tmp_path / "t.csv")


def test_once_for_all_entries_become_rows_with_their_deviation(tmp_path):
    (tmp_path / "160.yaml").write_text(PIXEL)
    found, left_out = read_foreign(tmp_path / "160.yaml", "pixel1")
    assert found.board == "pixel1" and left_out == () and found.own.layers == ()
    assert found.own.inputs == ((1, 3, 160, 160),)
    assert sorted(row.latency_ms for row in found.rows) == [2.5, 3.0, 4.0, 4.5]
    strided = found.networks[2]
    assert strided.groups == (("input", 24), ("expand", 96), ("output", 32))
    assert [row.widths for row in found.of(2, "block")] == [(24, 72, 32), (24, 96, 24)]
    (shared,) = found.of(1, "block")
    assert shared.runs == 20 and shared.high_ms == pytest.approx(2.5 + 1.96 * 0.1 / 20**0.5)


def test_once_for_all_goes_out_as_it_came_in(tmp_path):
    (tmp_path / "160.yaml").write_text(PIXEL)
    found, _ = read_foreign(tmp_path / "160.yaml")
    write_table(found, tmp_path / "t.parquet")
    FORMS["ofa"](read_table(tmp_path / "t.parquet"), tmp_path / "again.yaml", 8)
    before = yaml.safe_load(PIXEL)
    again = yaml.safe_load((tmp_path / "again.yaml").read_text())
    assert set(again) == set(before)
    for key, value in before.items():
        assert again[key]["mean"] == pytest.approx(value["mean"])
        assert again[key]["count"] == value["count"]
        assert again[key]["std"] == pytest.approx(value.get("std", value.get("var", 0) ** 0.5))


def test_what_is_no_entry_of_once_for_all_is_named(table, tmp_path):
    FORMS["ofa"](table, tmp_path / "32.yaml", 4)
    _, left_out = read_foreign(tmp_path / "32.yaml")
    # Pooling is in the layer before it, so its entries say nothing that a table could hold.
    assert left_out and all("AvgPool2D" in reason for reason in left_out)
    (tmp_path / "odd.yaml").write_text("Skip-input:1x1x1: {mean: 1.0}\n" + PIXEL)
    assert "Skip-input" in read_foreign(tmp_path / "odd.yaml")[1][0]
    for wrong in ("[1, 2]", "Conv: 3", "a: b: c", "Conv-input:1x1x3-output:1x1x2: {mean: fast}"):
        (tmp_path / "wrong.yaml").write_text(wrong)
        with pytest.raises(InputError):
            read_foreign(tmp_path / "wrong.yaml")
    with pytest.raises(InputError, match="cannot be imported"):
        read_foreign(tmp_path / "lut.pkl")


def test_two_files_of_once_for_all_are_compared_block_by_block(tmp_path):
    (tmp_path / "160.yaml").write_text(PIXEL)
    before, _ = read_foreign(tmp_path / "160.yaml")
    slower = [
        replace(row, latency_ms=row.network * row.latency_ms, high_ms=row.network * row.high_ms)
        for row in before.rows
    ]
    found = difference(before, replace(before, rows=tuple(slower)))
    names = [network.name for network in before.networks]
    assert {(m.name, m.ratio, m.count) for m in found.moved} == {
        (names[1], 1.0, 1),
        (names[2], 2.0, 2),
        (names[3], 3.0, 1),
    }
