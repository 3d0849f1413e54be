"""`hwprune table show`: a table in the terminal, as JSON and as a page."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app
from hwprune.tables.model import TableModel
from hwprune.tables.table_file import write_table
from tests.tables.block_board import block_table, network


@pytest.fixture(scope="module")
def table():
    return block_table(network([64, 48]))


@pytest.fixture
def file(table, tmp_path):
    write_table(table, tmp_path / "net.parquet")
    return tmp_path / "net.parquet"


def shown(*words) -> str:
    done = CliRunner().invoke(app, ["table", "show", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_it_shows_errors_layers_and_steps(file, table):
    text = shown(file)
    assert f"± {table.errors[table.source].interval_pct:.1f} %" in text
    after = text.partition("layer of the unpruned network")[2].partition("group")[0]
    layers = {line.split()[0]: line.split() for line in after.splitlines() if line.strip()}
    taken = TableModel(table).by_layer_ms(table.own.full)
    for name, ms in taken.items():
        assert layers[name][3] == f"{ms:.4f}"
    whole = float(TableModel(table).latency_ms(np.array([table.own.full]))[0])
    assert layers["together"][1] == f"{whole:.4f}"
    assert "4 16 32 48 64" in text or "4 8 16 32 48 64" in text


def test_json_has_all_that_the_terminal_and_the_page_show(file, table):
    data = json.loads(shown(file, "--json"))
    assert data["network"] == "net" and data["board"] == "block-board"
    assert data["conditions"] == {"board": {"machine": "aarch64", "os": "unavailable"}}
    assert data["protocol"] == {"rounds": 20} and data["device_minutes"] == 12.5
    assert data["errors"][data["source"]]["count"] == len(data["held_out"]) == 20
    parts = sum(layer["ms"] for layer in data["layers"]) + data["beside_layers_ms"]
    assert parts == pytest.approx(data["unpruned_ms"])
    assert [group["name"] for group in data["groups"]] == [name for name, _ in table.own.groups]
    for group in data["groups"]:
        assert len(group["widths"]) == len(group["latency_ms"])
        assert group["latency_ms"][-1] == pytest.approx(data["unpruned_ms"])
        assert set(group["offered"]) <= set(group["read"]) <= set(group["widths"])
    assert data["kinds"][0]["layers"] == [layer["name"] for layer in data["layers"]]
    assert len(data["kinds"][0]["ms"]) == len(data["kinds"][0]["inputs"])


def test_a_page_is_written_where_it_is_asked_for(file, tmp_path):
    page = tmp_path / "pages" / "net.html"
    assert str(page) in shown(file, "--html", page).replace("\n", "")
    assert "net on block-board" in page.read_text()
    assert json.loads(shown(file, "--json", "--html", page))["html"] == str(page)


def test_a_page_that_cannot_be_written_says_so(file, tmp_path):
    (tmp_path / "taken").write_text("")
    page = tmp_path / "taken" / "net.html"
    done = CliRunner().invoke(app, ["table", "show", str(file), "--html", str(page)])
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_names_in_brackets_are_shown_as_they_are(tmp_path, table):
    own = replace(
        table.own,
        name="[/red] net",
        groups=tuple((f"[/bold]{name}", width) for name, width in table.own.groups),
        layers=tuple(replace(k, name=f"[bold]{k.name}") for k in table.own.layers),
    )
    write_table(replace(table, networks=(own,)), tmp_path / "odd.parquet")
    text = shown(tmp_path / "odd.parquet")
    assert "[/red] net on block-board" in text
    assert "[/bold]stem" in text and "[bold]part1.1.conv1" in text


def test_a_table_of_one_reading_is_shown(tmp_path, table):
    short = replace(table, rows=table.rows[:1], errors={}, source="")
    write_table(short, tmp_path / "short.parquet")
    assert "how far it errs is not known" in shown(tmp_path / "short.parquet")


def test_a_table_without_a_reading_says_what_to_do(tmp_path, table):
    empty = replace(table, rows=(), errors={}, source="")
    write_table(empty, tmp_path / "empty.parquet")
    done = CliRunner().invoke(app, ["table", "show", str(tmp_path / "empty.parquet")])
    assert done.exit_code == 2
    assert "nothing was measured" in done.stderr


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path):
    done = CliRunner().invoke(app, ["table", "show", str(tmp_path / "none.parquet")])
    assert done.exit_code == 2
    assert "hwprune table build" in done.stderr
