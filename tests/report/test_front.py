"""The front: what came of each budget, on disk, in a terminal and as a page."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner

from hwprune.cli.app import app
from hwprune.errors import RunFolderError
from hwprune.report.front import Front, FrontEntry, read_front
from hwprune.report.html import render_front
from hwprune.report.table import front_json, front_table
from tests.report.sample import make_result


def made() -> Front:
    """Two networks, and a budget that none was found for."""
    wide = make_result()
    rows = [
        replace(r, latency_ms=1.4, score_test=0.87) if r.name == "hwprune" else r
        for r in wide.rows
    ]
    narrow = replace(wide, rows=tuple(rows))
    return Front(
        name="three",
        entries=(
            FrontEntry(budget="50 %", folder="50", result=wide),
            FrontEntry(budget="30 %", folder="30", result=narrow),
            FrontEntry(budget="1 %", folder="1", result=None, failed="cannot be met", exit_code=3),
        ),
    )


@pytest.fixture
def run(tmp_path) -> Path:
    front = made()
    for entry in front.entries[:2]:
        (tmp_path / entry.folder).mkdir()
        assert entry.result is not None
        entry.result.save(tmp_path / entry.folder / "result.json")
    front.save(tmp_path)
    return tmp_path


def test_it_comes_back_from_disk(run):
    assert read_front(run) == made()


def test_one_budget_that_is_not_kept_is_not_passed():
    front = made()
    assert not front.passed
    assert replace(front, entries=front.entries[:2]).passed


def test_a_file_of_another_hwprune_is_refused(run):
    data = json.loads((run / "front.json").read_text())
    (run / "front.json").write_text(json.dumps(data | {"format": 99}))
    with pytest.raises(RunFolderError, match="possible: format 1"):
        read_front(run)


def test_the_page_is_well_formed_and_links_each_report():
    page = render_front(made())
    ElementTree.fromstring(page)
    assert 'href="50/report.html"' in page and 'href="30/report.html"' in page
    assert "cannot be met" in page and "2 networks for 3 budgets" in page
    assert page.count("<path") > 5


def test_the_table_has_a_row_for_each_budget_and_fits_a_terminal():
    out = StringIO()
    Console(file=out, width=80, color_system=None).print(front_table(made()))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    for budget in ("50 %", "30 %", "1 %", "unpruned"):
        assert any(line.strip().startswith(budget) for line in lines)
    assert "NONE" in out.getvalue()


def test_json_has_every_budget_s_table():
    data = json.loads(json.dumps(front_json(made())))
    assert [b["budget"] for b in data["budgets"]] == ["50 %", "30 %", "1 %"]
    assert data["budgets"][0]["status"] == "PASS" and data["budgets"][2]["exit_code"] == 3


def test_the_report_is_built_again(run):
    done = CliRunner().invoke(app, ["report", str(run)])
    assert done.exit_code == 0 and "30 %" in done.stdout
    assert (run / "report.html").exists() and (run / "30" / "report.html").exists()
