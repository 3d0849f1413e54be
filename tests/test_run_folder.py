"""A run folder remembers what was finished and refuses what would spoil it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hwprune.errors import RunFolderError
from hwprune.run_book import KnownScore, RunBook
from hwprune.run_folder import RunFolder, latest, next_free


def test_a_finished_step_is_there_after_reopening(tmp_path):
    folder = RunFolder.open(tmp_path / "run", {"a": 1}, resume=False)
    assert folder.step("trace", dict) is None
    folder.finish("trace", {"groups": (1, 2)})
    folder.close()
    again = RunFolder.open(tmp_path / "run", {"a": 1}, resume=True)
    assert again.step("trace", dict) == {"groups": [1, 2]}


def test_a_run_is_not_overwritten_and_not_resumed_from_nothing(tmp_path):
    with pytest.raises(RunFolderError, match="no run to resume"):
        RunFolder.open(tmp_path / "run", {}, resume=True)
    RunFolder.open(tmp_path / "run", {}, resume=False).close()
    with pytest.raises(RunFolderError, match="already holds a run"):
        RunFolder.open(tmp_path / "run", {}, resume=False)


def test_a_changed_deployment_is_refused_and_the_change_named(tmp_path):
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
    (run / "deployment.json").write_text(json.dumps({"format": 99, "settings": {}}))
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


def test_a_folder_of_an_older_version_is_refused(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "deployment.json").write_text(json.dumps({"format": 1, "settings": {}}))
    with pytest.raises(RunFolderError, match="older hwprune"):
        RunFolder.open(run, {}, resume=True)


def test_scores_survive_reopening_and_parts_do_not_mix(tmp_path):
    items = np.array([1, 0, 1], np.float32)
    book = RunBook(tmp_path)
    book.keep_score("heldout", (4, 8), KnownScore(value=2 / 3, share=0.5, items=items))
    book.keep_score("heldout", (4, 8), KnownScore(value=0.75, items=items, of_shares={0.5: 0.7}))
    book.keep_score("heldout", (2, 8), KnownScore(value=0.5, others={"recall": 0.4}))
    book.close()
    book = RunBook(tmp_path)
    found = book.score("heldout", [4, 8])
    assert found.value == 0.75 and found.share == 1.0 and found.of_shares == {0.5: 0.7}
    assert np.array_equal(found.items, items)
    other = book.score("heldout", (2, 8))
    assert other.items is None and other.others == {"recall": 0.4}
    assert book.score("final", (4, 8)) is None
    assert book.score("heldout", (8, 4)) is None


def test_steps_are_kept_one_by_one(tmp_path):
    """A step costs its own size, however many there are."""
    folder = RunFolder.open(tmp_path / "run", {}, resume=False)
    for number in range(300):
        folder.finish(f"reading {number}", {"runs": list(range(50))})
    assert folder.book.steps()[-1] == "reading 299"
    assert folder.step("reading 7", dict) == {"runs": list(range(50))}
    folder.close()
