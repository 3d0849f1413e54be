"""Whatever a profile, a deployment or a run folder holds: what comes out is a result, or words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomllib
from hypothesis import strategies as st

from hwprune.board import Board, find_board, parse_board
from hwprune.board_profile import likely_kind, likely_target, profile_text
from hwprune.cli.checks.remote import findings
from hwprune.deployment import load_deployment, parse_deployment
from hwprune.errors import HwpruneError, RunFolderError
from hwprune.finetune.history import Epoch, read_history, write_history
from hwprune.run_book import KnownScore, RunBook
from hwprune.run_folder import RunFolder
from hwprune.survey import checked
from hwprune.toml_file import to_toml
from hwprune_device.reading import Failure, Reading
from tests.damaged import (
    ANYTHING,
    DEEP,
    EXAMPLES,
    check_on,
    damaged_bytes,
    damaged_data,
    damaged_json,
)
from tests.report.sample_certificate import make_reading
from tests.test_board_profile import SURVEY

PROFILES = Path(__file__).parents[1] / "profiles"
PROFILE = PROFILES / "boards" / "raspberry-pi-4.toml"
SETTINGS = PROFILES / "deployments" / "quickstart.toml"
DEEP_TOML = (
    "a = " + "[" * DEEP,
    "a = " + "{b = " * DEEP,
    ".".join("a" * 200_000) + " = 1",
    "[" + ".".join("a" * 200_000) + "]",
)


def worded(read: Callable[[], Any]) -> None:
    """What is read is a result, or an error that says what happened and with what."""
    with contextlib.suppress(HwpruneError):
        read()


@EXAMPLES
def test_a_profile_gives_a_board_or_words(examples: int) -> None:
    whole = tomllib.loads(PROFILE.read_text()) | {
        "cache_mb": 1.5,
        "cores": [0],
        "facts": {"cores": 4},
        "protocol": {"rounds": 5, "cap_s": 2.0, "memory_limit_mb": 100.0},
    }

    def check(data: Any) -> None:
        with contextlib.suppress(HwpruneError):
            board = parse_board(data, name="b")
            assert np.isfinite(board.protocol.cap_s) and board.target.threads >= 1
            assert "/" not in board.name and not board.name.startswith(".")

    check_on(damaged_data(whole).filter(lambda d: isinstance(d, dict)), check, examples=examples)


@EXAMPLES
@pytest.mark.parametrize(("file", "load"), [(PROFILE, find_board), (SETTINGS, load_deployment)])
def test_the_text_of_a_profile_or_a_deployment_gives_a_noun_or_words(
    examples: int, file: Path, load: Callable[[Any], Any], tmp_path: Path
) -> None:
    here = tmp_path / file.name
    damage = damaged_bytes(file.read_bytes()) | st.sampled_from(DEEP_TOML).map(str.encode)

    def check(content: bytes) -> None:
        here.write_bytes(content)
        worded(lambda: load(str(here) if load is find_board else here))

    check_on(damage, check, examples=examples)


@EXAMPLES
def test_data_gives_a_deployment_or_words(examples: int) -> None:
    whole = tomllib.loads(SETTINGS.read_text()) | {
        "delivery": {"certificate_readings": 3, "tolerance": 0.1},
        "budget": [
            {"latency_ms": "50 %", "name": "a"},
            {"latency_ms": {"at_most": "30 %", "quantile": 0.9}},
        ],
        "board": {"profile": "this-machine", "latency_of": "typical"},
        "training": {"epochs": 3},
    }
    whole["search"] = {**whole.get("search", {}), "limits": {"conv*": {"min_keep": 0.5}}}
    check_on(
        damaged_data(whole).filter(lambda d: isinstance(d, dict)),
        lambda data: worded(lambda: parse_deployment(data, name="w", folder=SETTINGS.parent)),
        examples=examples,
    )


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize("key", ["cap_s", "precision_pct", "between_batch_cv", "short_ms"])
def test_numbers_that_are_none_are_refused_in_a_profile(
    number: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "b.toml"
    path.write_text(f"[protocol]\n{key} = {number}\n")
    with pytest.raises(HwpruneError, match="no number"):
        find_board(str(path))
    with pytest.raises(HwpruneError, match=f"{key}: must be a number from"):
        parse_board({"protocol": {key: float(number)}}, name="b")


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "..", "", "x" * 101, "a b", "a\n"])
def test_a_board_has_a_name_that_a_file_may_have(name: str) -> None:
    with pytest.raises(HwpruneError, match="letters, digits"):
        parse_board({"name": name}, name="b")


@EXAMPLES
def test_whatever_a_board_tells_of_itself_its_profile_is_read_back(
    examples: int, tmp_path: Path
) -> None:
    path = tmp_path / "b.toml"

    def check(said: Any) -> None:
        survey = checked(said)
        assert all(found.name for found in findings(Board(name="b"), survey))
        text = profile_text(Board(name="b", kind=likely_kind(survey)), survey, date(2026, 1, 1))
        path.write_text(text, encoding="utf-8")
        likely_target(survey)
        assert find_board(str(path)).name == "b"

    check_on(damaged_data(SURVEY).filter(lambda d: isinstance(d, dict)), check, examples=examples)


def test_text_with_control_characters_is_plain_once_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    python, model = to_toml("py\x1b[2J"), to_toml("a\x00b")
    path.write_text(f"python = {python}\n[facts]\nmodel = {model}\n")
    board = find_board(str(path))
    assert board.python == "py\ufffd[2J" and board.facts["model"] == "a\ufffdb"


@EXAMPLES
def test_a_run_is_resumed_or_refused_in_words(examples: int, tmp_path: Path) -> None:
    settings = {"name": "w", "budgets": [{"at_most": 0.5}]}
    RunFolder.open(tmp_path, settings, resume=False).close()
    file = tmp_path / "deployment.json"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        with contextlib.suppress(RunFolderError):
            RunFolder.open(tmp_path, settings, resume=True).close()

    check_on(damaged_json({"format": 4, "settings": settings}), check, examples=examples)


@EXAMPLES
def test_a_step_is_what_came_out_of_it_or_words(examples: int, tmp_path: Path) -> None:
    book = RunBook(tmp_path)

    def check(outcome: Any) -> None:
        book.finish("read", outcome)
        with contextlib.suppress(RunFolderError):
            found = book.step("read", Reading | Failure)
            assert isinstance(found, Reading | Failure)

    check_on(damaged_data(make_reading("a" * 64, 2.0).to_json()), check, examples=examples)
    book.close()


@EXAMPLES
def test_a_damaged_run_book_answers_or_says_so(examples: int, tmp_path: Path) -> None:
    book = RunBook(tmp_path)
    book.finish("seconds", {"trace": 1.0})
    book.keep_score("heldout", [3], KnownScore(value=0.5, items=np.ones(3, np.float32)))
    book.close()
    file = tmp_path / "run.sqlite"

    def check(content: bytes) -> None:
        for left in tmp_path.iterdir():
            left.unlink(missing_ok=True)
        file.write_bytes(content)

        def read() -> None:
            book = RunBook(tmp_path)
            try:
                book.steps()
                book.step("seconds", dict[str, float])
                book.score("heldout", [3])
            finally:
                book.close()

        worded(read)

    check_on(damaged_bytes(file.read_bytes()), check, examples=examples)


@EXAMPLES
def test_a_history_is_read_or_refused_in_words(examples: int, tmp_path: Path) -> None:
    epoch = Epoch(epoch=1, loss=0.5, score=0.25, lr=0.1, seconds=1.0)
    write_history(tmp_path, [epoch])
    file = tmp_path / "history.jsonl"
    plain = {"epoch": 1, "loss": 0.5, "score": 0.25, "lr": 0.1, "seconds": 1.0}

    def check(content: bytes) -> None:
        file.write_bytes(content)
        worded(lambda: read_history(tmp_path))

    check_on(damaged_json(plain) | damaged_bytes(file.read_bytes()), check, examples=examples)


@EXAMPLES
def test_an_override_is_taken_or_refused_in_words(examples: int) -> None:
    texts = ANYTHING.map(str) | st.text() | st.sampled_from(["nan", "[" * 3000, "1e999"])
    check_on(
        texts,
        lambda text: worded(lambda: load_deployment(SETTINGS, [f"search.minutes={text}"])),
        examples=examples,
    )
