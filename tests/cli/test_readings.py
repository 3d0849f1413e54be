"""`hwprune readings`: what a store holds is listed, handed on, thinned out and joined."""

from __future__ import annotations

import csv
import json
import subprocess

import jsonschema
import pytest
from typer.testing import CliRunner

from hwprune.channels.base import make_base
from hwprune.cli.app import app
from hwprune.farm.reading_key import ReadingKey
from hwprune.farm.store import ReadingStore
from hwprune.farm.store_rows import Cut
from tests.hwprune_device.chain import chain
from tests.readings import reading
from tests.venvs import make_venv

TARGET = '{"runtime": "onnxrt", "precision": "fp32", "threads": 2}'
BASE = make_base(chain((8, 16)))


def key(name: str) -> ReadingKey:
    return ReadingKey(architecture=name * 64, target_key=TARGET, conditions_key="c")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The user's store, with four readings of two networks on one board."""
    path = tmp_path / "readings.sqlite"
    monkeypatch.setenv("HWPRUNE_STORE", str(path))
    kept = ReadingStore(path)
    kept.know(BASE)
    for number, (name, latency_ms) in enumerate(
        (("a", 10.0), ("a", 10.2), ("b", 5.0), ("b", 99.0))
    ):
        taken = reading(
            latency_ms,
            reading_id=f"{number}" * 32,
            architecture=name * 64,
            board="lab-pi",
            taken_at=f"2026-0{number + 1}-01T00:00:00+00:00",
            doubts=("shaky",) if latency_ms == 99.0 else (),
        )
        kept.add(key(name), taken, Cut(base_id=BASE.base_id, widths=(4, 16 if name == "a" else 8)))
    kept.close()
    return path


def readings(*arguments: object):
    return CliRunner().invoke(app, ["readings", *map(str, arguments)])


def listed() -> dict:
    return json.loads(readings("list", "--json").stdout)


def test_list_tells_what_there_is_by_setting(store):
    (setting,) = listed()["settings"]
    assert setting["boards"] == ["lab-pi"]
    assert (setting["readings"], setting["doubted"], setting["networks"]) == (4, 1, 2)
    assert (setting["bases"], setting["first_at"][:7], setting["last_at"][:7]) == (
        *(1, "2026-01", "2026-04"),
    )
    assert "onnxrt fp32, 2 threads" in readings("list").stdout


def test_a_table_has_units_and_the_network_of_every_reading(store, tmp_path):
    assert readings("export", tmp_path / "r.csv").exit_code == 0
    rows = list(csv.DictReader((tmp_path / "r.csv").open()))
    assert [float(row["latency_ms"]) for row in rows] == [10.0, 10.2, 5.0, 99.0]
    assert rows[2]["widths"] == "4 8" and rows[2]["base_id"] == BASE.base_id
    assert rows[3]["doubts"] == "shaky"


def test_parquet_and_json_lines_hold_the_same_rows(store, tmp_path):
    import pyarrow.parquet

    for name in ("r.parquet", "r.jsonl"):
        assert readings("export", tmp_path / name).exit_code == 0
    table = pyarrow.parquet.read_table(tmp_path / "r.parquet").to_pylist()
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    wholes = [line.pop("reading") for line in lines]
    assert table == lines
    assert len(wholes[0]["runs_ms"]) == 20


def test_bencher_gets_value_and_interval_of_good_readings_in_nanoseconds(store, tmp_path):
    done = readings("export", tmp_path / "b.json", "--format", "bencher")
    assert "3 readings" in done.stdout
    metrics = json.loads((tmp_path / "b.json").read_text())
    latency = metrics["b" * 16 + " on lab-pi"]["latency"]
    assert latency == {"value": 5e6, "lower_value": 4.9e6, "upper_value": 5.1e6}


METRICS = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": {
                name: {"type": "number"} for name in ("value", "lower_value", "upper_value")
            },
            "required": ["value"],
            "additionalProperties": False,
        },
    },
}
"""What Bencher's schema of its metric format says, and that nothing else is there."""


def test_what_bencher_gets_is_in_its_metric_format(store, tmp_path):
    readings("export", tmp_path / "b.json", "--format", "bencher")
    metrics = json.loads((tmp_path / "b.json").read_text())
    assert list(jsonschema.Draft202012Validator(METRICS).iter_errors(metrics)) == []


@pytest.mark.heavy
def test_pyperf_itself_reads_what_it_gets(store, tmp_path):
    readings("export", tmp_path / "p.json", "--format", "pyperf")
    python = make_venv(tmp_path / "venv", "pyperf==2.11.0")
    stats = [python, "-m", "pyperf", "stats", tmp_path / "p.json"]
    said = subprocess.run(stats, check=True, capture_output=True, text=True).stdout
    assert "Number of benchmarks: 2" in said or said.count("Mean +- std dev") == 2
    assert "5.00 ms" in said


def test_an_unknown_form_names_those_there_are(store, tmp_path):
    done = readings("export", tmp_path / "readings.xls")
    assert done.exit_code != 0 and "parquet" in done.stderr and not (tmp_path / "r.xls").exists()


def test_prune_counts_first_and_deletes_when_told_so(store):
    assert "1 readings would be deleted" in readings("prune", "--doubted").stdout
    assert listed()["readings"] == 4
    assert "1 readings were deleted" in readings("prune", "--doubted", "--yes").stdout
    assert listed()["readings"] == 3
    readings("prune", "--before", "2026-02-01", "--yes")
    kept = ReadingStore(store)
    assert [r.latency_ms for r in kept.readings(key("a"))] == [10.2]
    assert kept.spread("c", TARGET) == (0.0, 0)
    kept.close()
    assert readings("prune", "--yes").exit_code != 0


def test_a_day_that_is_none_deletes_nothing(store):
    done = readings("prune", "--before", "yesterday", "--yes")
    assert done.exit_code == 2 and "2026-01-31" in done.stderr
    assert listed()["readings"] == 4


def test_a_file_that_cannot_be_written_is_named(store, tmp_path):
    done = readings("export", tmp_path / "nowhere" / "readings.csv")
    assert done.exit_code == 2 and "nowhere/readings.csv cannot be written" in done.stderr


def test_merge_brings_over_what_is_lacking_and_nothing_twice(store, tmp_path):
    other = tmp_path / "other.sqlite"
    assert "4 readings added" in readings("merge", store, "--store", other).stdout
    assert "0 readings added" in readings("merge", store, "--store", other).stdout
    joined = ReadingStore(other)
    assert [r.latency_ms for r in joined.readings(key("a"))] == [10.0, 10.2]
    joined.close()


def test_a_store_that_is_not_there_is_said_and_not_made(tmp_path):
    done = readings("list", "--store", tmp_path / "none.sqlite")
    assert done.exit_code != 0 and not (tmp_path / "none.sqlite").exists()
