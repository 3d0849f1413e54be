"""result.json: what is written can be read again, and what cannot be read says why."""

from __future__ import annotations

import json

import pytest

from hwprune.errors import RunFolderError
from hwprune.report.result import RESULT_FORMAT, Result, read_result
from tests.report.sample import make_result, make_small_result


@pytest.mark.parametrize("make", [make_result, make_small_result])
def test_what_is_saved_is_read_again(make, tmp_path):
    result = make()
    result.save(tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == result
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_result_of_a_newer_version_is_refused():
    data = make_small_result().to_json() | {"format": RESULT_FORMAT + 1}
    with pytest.raises(RunFolderError, match="hwprune that wrote it"):
        Result.from_json(data)


@pytest.mark.parametrize("missing", ["format", "certificate", "rows", "evaluations", "timings"])
def test_an_incomplete_result_is_refused(missing):
    data = make_small_result().to_json()
    del data[missing]
    with pytest.raises(RunFolderError):
        Result.from_json(data)


def test_an_unknown_field_is_refused():
    data = make_small_result().to_json() | {"colour": "red"}
    with pytest.raises(RunFolderError, match="colour"):
        Result.from_json(data)


@pytest.mark.parametrize("text", ["{half", "[]", "3"])
def test_what_is_no_result_is_refused(text, tmp_path):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(RunFolderError):
        read_result(tmp_path / "result.json")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_result(tmp_path / "result.json")


def test_a_failed_write_leaves_the_old_result(tmp_path):
    from dataclasses import replace

    path = tmp_path / "result.json"
    result = make_small_result()
    result.save(path)
    with pytest.raises(ValueError):
        replace(result, conditions={"load": float("nan")}).save(path)
    assert read_result(path) == result


def test_the_file_is_plain_json_without_nan(tmp_path):
    make_result().save(tmp_path / "result.json")
    text = (tmp_path / "result.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["format"] == RESULT_FORMAT
