"""A run folder remembers what was finished and refuses what would spoil it."""

from __future__ import annotations

import json

import pytest

from hwprune.errors import RunFolderError
from hwprune.run_folder import RunFolder, latest, next_free
from hwprune.score_book import ScoreBook


def test_a_finished_step_is_there_after_reopening(tmp_path):
    folder = RunFolder.open(tmp_path / "run", {"a": 1}, resume=False)
    assert folder.step("trace") is None
    folder.finish("trace", {"groups": (1, 2)})
    folder.close()
    again = RunFolder.open(tmp_path / "run", {"a": 1}, resume=True)
    assert again.step("trace") == {"groups": [1, 2]}


def test_a_run_is_not_overwritten_and_not_resumed_from_nothing(tmp_path):
    with pytest.raises(RunFolderError, match="no run to resume"):
        RunFolder.open(tmp_path / "run", {}, resume=True)
    RunFolder.open(tmp_path / "run", {}, resume=False).close()
    with pytest.raises(RunFolderError, match="already holds a run"):
        RunFolder.open(tmp_path / "run", {}, resume=False)


def test_a_changed_wish_is_refused_and_the_change_named(tmp_path):
    RunFolder.open(tmp_path / "run", {"evaluations": 10}, resume=False).close()
    with pytest.raises(RunFolderError, match="evaluations: 10 → 20"):
        RunFolder.open(tmp_path / "run", {"evaluations": 20}, resume=True)


def test_two_processes_cannot_work_in_one_folder(tmp_path):
    first = RunFolder.open(tmp_path / "run", {}, resume=False)
    with pytest.raises(RunFolderError, match="another process"):
        RunFolder.open(tmp_path / "run", {}, resume=True)
    first.close()
    RunFolder.open(tmp_path / "run", {}, resume=True).close()


def test_a_folder_of_a_newer_version_is_refused(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "deployment.json").write_text(json.dumps({"format": 99, "wish": {}}))
    with pytest.raises(RunFolderError, match="newer hwprune"):
        RunFolder.open(run, {}, resume=True)


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match="cannot be written"):
        RunFolder.open(tmp_path / "file" / "run", {}, resume=False)


def test_runs_of_one_name_are_numbered_and_the_newest_is_resumed(tmp_path):
    assert next_free(tmp_path, "quick") == tmp_path / "quick"
    for name in ("quick", "quick-2", "quick-notes"):
        (tmp_path / name).mkdir()
    assert next_free(tmp_path, "quick") == tmp_path / "quick-3"
    assert latest(tmp_path, "quick") == tmp_path / "quick-2"


def test_scores_survive_reopening_and_splits_do_not_mix(tmp_path):
    book = ScoreBook(tmp_path / "scores.sqlite")
    book.put("heldout", (4, 8), 0.75)
    book.close()
    book = ScoreBook(tmp_path / "scores.sqlite")
    assert book.get("heldout", [4, 8]) == 0.75
    assert book.get("final", (4, 8)) is None
    assert book.get("heldout", (8, 4)) is None
