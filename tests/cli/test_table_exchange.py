"""`hwprune table export` and `import`."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app
from hwprune.tables.table_file import read_table, write_table
from tests.tables.mobile_tables import mobile


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    place = tmp_path_factory.mktemp("table") / "mobile.parquet"
    write_table(mobile(third_version=True), place)
    return place


def table(*arguments: object):
    return CliRunner().invoke(app, ["table", *map(str, arguments)])


def test_export_says_what_it_wrote_and_what_it_left_out(file, tmp_path):
    done = table("export", file, tmp_path / "k.json", "--format", "nn-meter", "--widths", 3)
    assert done.exit_code == 0, done.output
    assert "entries in" in done.output and "k_latencies.json" in done.output
    assert "left out" in done.output and "nn-Meter has no kernel" in done.output


def test_export_as_json_tells_all(file, tmp_path):
    done = table("export", file, tmp_path / "m.csv", "--format", "csv", "--json")
    told = json.loads(done.stdout)
    assert told["files"] == [str(tmp_path / "m.csv"), str(tmp_path / "m.header.json")]
    assert told["entries"] == len(read_table(file).rows) and told["left_out"] == []


def test_csv_comes_back_as_the_table_it_was(file, tmp_path):
    table("export", file, tmp_path / "m.csv", "--format", "csv")
    done = table("import", tmp_path / "m.csv", "--out", tmp_path / "again.parquet")
    assert done.exit_code == 0 and "rows alone" not in done.output
    assert read_table(tmp_path / "again.parquet") == read_table(file)


def test_once_for_all_comes_in_as_rows_alone(tmp_path):
    key = "Conv-input:160x160x3-output:80x80x24"
    (tmp_path / "160.yaml").write_text(f"{key}: {{count: 20, mean: 2.5, std: 0.1}}\n")
    out = tmp_path / "pixel.parquet"
    done = table("import", tmp_path / "160.yaml", "--out", out, "--board", "pixel1")
    assert done.exit_code == 0 and "it cannot predict" in done.output
    assert read_table(out).board == "pixel1"


def test_an_unknown_form_is_answered_with_those_there_are(file, tmp_path):
    done = table("export", file, tmp_path / "out", "--format", "pickle")
    assert done.exit_code == 2
    assert "possible: ofa, nn-meter" in " ".join(done.output.split()) + " ".join(
        (done.stderr or "").split()
    )
