"""A result of a stranger's is shown, as text and as a page, or refused in words."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hwprune.cli.report import report
from hwprune.errors import HwpruneError, RunFolderError
from hwprune.report.console import PlainConsole, headed
from hwprune.report.front import Front, FrontEntry, read_front
from hwprune.report.html import write_front, write_report
from hwprune.report.result import read_result
from hwprune.report.table import plain_table
from tests.damaged import EXAMPLES, check_on, damaged_json
from tests.report.sample import make_result, make_small_result

NASTY = "\x1b[31m[bold]<script>alert('1')</script>\"&\u202e\x9b2J"


def short_result() -> dict[str, Any]:
    """All parts of a result, with few of each."""
    whole = json.loads(json.dumps(make_result().to_json()))
    for part in ("evaluations", "policy", "finetune", "final_readings", "groups"):
        whole[part] = whole[part][:3]
    return whole


@EXAMPLES
def test_a_result_is_shown_or_refused_in_words(examples: int, tmp_path: Path) -> None:
    file = tmp_path / "result.json"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        with suppress(RunFolderError):
            report(tmp_path)

    file.write_text(json.dumps(short_result()))
    report(tmp_path)
    check_on(damaged_json(short_result()), check, examples=examples)


@EXAMPLES
def test_a_front_is_shown_or_refused_in_words(examples: int, tmp_path: Path) -> None:
    small = make_small_result()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        small.save(tmp_path / name / "result.json")
    entries = [FrontEntry(budget=name, folder=name, result=small) for name in ("a", "b")]
    Front(name="w", entries=tuple(entries)).save(tmp_path)
    file = tmp_path / "front.json"
    whole = json.loads(file.read_text())

    def check(content: bytes) -> None:
        file.write_bytes(content)
        with suppress(HwpruneError):
            report(tmp_path)

    report(tmp_path)
    check_on(damaged_json(whole), check, examples=examples)


@pytest.mark.parametrize("folder", ["../..", "/etc", "a/../..", ".", ""])
def test_a_front_names_no_folder_outside_its_run(folder: str, tmp_path: Path) -> None:
    rows = [{"budget": "b", "folder": folder, "failed": "", "exit_code": 0}]
    (tmp_path / "front.json").write_text(json.dumps({"format": 1, "name": "w", "budgets": rows}))
    with pytest.raises(RunFolderError, match="a folder inside"):
        read_front(tmp_path)


def _nasty(data: Any) -> Any:
    """Plain data whose free texts are all nasty; keys and fixed words stay."""
    fixed = {"PASS", "FAIL", "NOT SHOWN", "NOT MEASURED", "unpruned", "uniform", "hwprune"}
    words = {"latency_ms", "memory_mb", "thread_cpu", "wall", "device", "crash", "params", "macs"}
    if isinstance(data, dict):
        return {key: _nasty(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_nasty(value) for value in data]
    return NASTY if isinstance(data, str) and data not in fixed | words else data


def test_no_text_of_a_result_steers_a_terminal_or_a_page(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(_nasty(short_result())))
    result = read_result(tmp_path / "result.json")
    write_report(result, tmp_path / "report.html")
    write_front(
        Front(name=NASTY, entries=(FrontEntry(budget=NASTY, folder="a", result=result),) * 2),
        tmp_path / "front.html",
    )
    for name in ("report.html", "front.html"):
        page = (tmp_path / name).read_text(encoding="utf-8")
        assert not set("\x1b\x9b\u202e") & set(page)
        tags = {element.tag for element in ElementTree.fromstring(page).iter()}
        assert not any(tag.endswith(("script", "bold")) for tag in tags)
    shown = plain_table(replace(result, doubts=(NASTY,)))
    assert "[bold]<script>" in shown and not set("\x1b\x9b\u202e") & set(shown)


def test_a_console_shows_brackets_and_no_control_characters() -> None:
    out = StringIO()
    console = PlainConsole(file=out, width=200, force_terminal=True, color_system="standard")
    console.print(NASTY, style="red")
    console.print(headed(NASTY, NASTY))
    text = out.getvalue()
    assert text.count("[bold]<script>") == 3
    assert "\x1b[31m\ufffd[31m" in text and "\x9b" not in text and "\u202e" not in text
