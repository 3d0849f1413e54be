"""`hwprune report`: the report again, or what is missing for it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app
from hwprune.run_book import RunBook
from tests.report.sample import make_result


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "half"
    folder.mkdir()
    make_result().save(folder / "result.json")
    return folder


def test_it_writes_the_report_and_shows_the_table(run):
    done = CliRunner().invoke(app, ["report", str(run)])
    assert done.exit_code == 0
    assert "2.26" in done.stdout and "PASS" in done.stdout
    assert "2.08× faster" in (run / "report.html").read_text()


def test_the_result_file_may_be_named_instead_of_its_folder(run):
    assert CliRunner().invoke(app, ["report", str(run / "result.json")]).exit_code == 0
    assert (run / "report.html").exists()


def test_json_holds_the_certificate(run):
    data = json.loads(CliRunner().invoke(app, ["report", str(run), "--json"]).stdout)
    assert data["certificate"]["findings"][0]["status"] == "PASS"
    assert data["rows"][-1]["name"] == "hwprune"


def test_an_unfinished_run_says_what_it_has_and_how_to_resume(tmp_path):
    (tmp_path / "deployment.json").write_text("{}")
    book = RunBook(tmp_path)
    for step in ("trace", "search"):
        book.finish(step, 1)
    book.close()
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert done.exit_code == 5
    assert "finished steps: trace, search" in done.stderr
    assert f"--out {tmp_path} --resume" in done.stderr


def test_a_folder_without_a_run_names_the_runs_beside_it(run):
    done = CliRunner().invoke(app, ["report", str(run.parent / "hlaf")])
    assert done.exit_code == 5
    assert str(run) in done.stderr


def test_a_result_of_a_newer_hwprune_is_not_read(run):
    data = json.loads((run / "result.json").read_text()) | {"format": 99}
    (run / "result.json").write_text(json.dumps(data))
    done = CliRunner().invoke(app, ["report", str(run)])
    assert done.exit_code == 5
    assert "the hwprune that wrote it" in done.stderr
