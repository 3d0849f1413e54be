"""`hwprune farm status`: snapshots, the live view on a pseudo-terminal, farms that ended."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app
from hwprune.cli.farm_table import age
from hwprune.farm.status import BoardStatus, read_statuses, status_folder, write_status
from tests.farms import KIND, farm_status, gone, running


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def status(*arguments, width=200):
    return CliRunner().invoke(
        app, ["farm", "status", *arguments], env={"COLUMNS": str(width), "NO_COLOR": "1"}
    )


def row(said, name):
    return next(line for line in said.splitlines() if line.lstrip().startswith(name))


def test_help_ends_with_an_example():
    assert "Example:  hwprune farm status" in status("--help").stdout


def test_without_a_farm_it_says_so_and_how_one_starts():
    done = status()
    assert done.exit_code == 0
    assert "no farm runs on this machine" in done.stdout
    assert "hwprune prune DEPLOYMENT.toml" in done.stdout


def test_without_a_farm_json_is_an_empty_list():
    done = status("--json")
    assert done.exit_code == 0
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("arguments", [(), ("--once",)])
def test_a_snapshot_tells_all_of_boards_and_kinds(arguments):
    write_status(farm_status())
    done = status(*arguments)
    assert done.exit_code == 0
    assert "farm my-farm  running for 2 h" in done.stdout
    assert "! orin-2 was lost" in done.stdout
    said = row(done.stdout, "orin-1")
    for told in (KIND, "▶ busy", "16 candid", "214", "61 °C", "−0.8 %, 2 min ago", "198", "93 %"):
        assert told in said
    assert "✕ lost  orin-2: connecting, attempt 3" in done.stdout
    said = row(done.stdout, KIND)
    for told in ("214", "25", "310/1120", "1", "66 device-min"):
        assert told in said


def test_what_is_not_known_is_a_dash_and_never_a_zero():
    write_status(farm_status(boards=(BoardStatus(name="new", kind="unheard", state="starting"),)))
    cells = row(status().stdout, "new").split()
    # Job, queue of a kind that nobody told of, temperature, canary, readings per hour, busy share.
    assert cells[2:] == ["…", "starting", "–", "–", "–", "–", "–", "0", "–"]


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_tables_keep_to_the_width_of_the_terminal(width):
    from rich.console import Console

    from hwprune.cli.farm_table import farm_tables

    long = BoardStatus(name="n" * 90, kind="k" * 90, state="unlike its kind", job="j " * 60)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(farm_tables([farm_status(boards=(long,))], width))
    assert max(map(len, console.export_text().splitlines())) <= width


def test_json_holds_every_field_and_whether_the_farm_is_alive():
    told = farm_status()
    write_status(told)
    (farm,) = json.loads(status("--json").stdout)
    assert farm == json.loads(json.dumps(told.to_json()))
    assert farm["alive"] is True


def test_one_farm_of_several_by_its_name():
    write_status(farm_status("one"))
    write_status(farm_status("two"))
    assert [f["farm"] for f in json.loads(status("--json", "--farm", "two").stdout)] == ["two"]
    said = status().stdout
    assert "farm one" in said and "farm two" in said


def test_an_unknown_farm_is_an_input_error_that_lists_those_that_run():
    write_status(farm_status("one"))
    write_status(gone("old"))
    done = status("--farm", "three")
    assert done.exit_code == 2
    assert "no farm 'three'" in done.stderr
    assert re.search(r"possible:\s+one\n", done.stderr)


def test_a_farm_that_died_is_shown_with_all_only():
    write_status(gone())
    hidden = status()
    assert "gone-farm" not in hidden.stdout and "--all" in hidden.stdout
    assert json.loads(status("--json").stdout) == []
    shown = status("--all").stdout
    assert "was busy" in row(shown, "orin-1")
    assert re.search(r"farm gone-farm  gone since \d{4}-\d\d-\d\d \d\d:\d\d, 2 h ago", shown)
    done = status("--farm", "gone-farm")
    assert done.exit_code == 2 and "--all --farm gone-farm" in done.stderr
    assert "gone since" in status("--farm", "gone-farm", "--all").stdout


def test_a_farm_that_closed_has_ended_and_is_not_gone():
    write_status(farm_status(closed=True))
    assert "no farm runs" in status().stdout
    said = status("--all").stdout
    assert "farm my-farm  ended" in said and "gone" not in said


def test_a_process_that_is_there_but_silent_does_not_count_as_running():
    write_status(farm_status(written_at=time.time() - 60))
    assert json.loads(status("--json").stdout) == []


def test_files_of_farms_are_deleted_after_a_week():
    week = 7 * 86400
    write_status(gone("old", age_s=week + 60))
    write_status(gone("late", age_s=week - 3600))
    broken = status_folder() / "broken.json"
    broken.write_text("{")
    kept = status_folder() / "broken-today.json"
    kept.write_text("{")
    os.utime(broken, (time.time() - week - 60,) * 2)
    assert "late" in status("--all").stdout
    assert {path.name for path in status_folder().iterdir()} == {"late.json", kept.name}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", "{", '{"farm": "x"}', '{"boards": 3}', "[" * 100_000, "\x00", '"\\ud800"'],
)
def test_files_that_are_no_status_are_passed_over(content):
    write_status(farm_status())
    (status_folder() / "other.json").write_text(content)
    assert [f["farm"] for f in json.loads(status("--json", "--all").stdout)] == ["my-farm"]


def test_a_newer_hwprune_may_say_more():
    write_status(farm_status())
    path = status_folder() / "my-farm.json"
    told = json.loads(path.read_text())
    told["boards"][0] |= {"volts": 5}
    path.write_text(json.dumps(told | {"mood": "good"}))
    assert [status.farm for status in read_statuses()] == ["my-farm"]


def test_names_cannot_steer_the_terminal_or_use_markup():
    evil = "\x1b[2J\x9b31m[red]x[/red]\u202e\r\nend"
    board = BoardStatus(name=evil, kind=evil, state="lost", message=evil, job=evil)
    write_status(farm_status(boards=(board,), warnings=(evil,), what=evil))
    said = status().stdout
    assert not set("\x1b\x9b\u202e\r") & set(said)
    assert "�[2J�31m[red]x[/red]�� end" in said


def test_words_that_no_file_can_hold_do_not_stop_a_farm_from_writing():
    write_status(farm_status(warnings=("half \ud83d of it",)))
    assert "half � of it" in status().stdout


def test_the_page_does_not_go_with_a_snapshot():
    assert status("--web", "--json").exit_code == 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7300, "2 h"), (172800, "2 days")],
)
def test_ages_are_coarse(seconds, words):
    assert age(seconds) == words


class Terminal:
    """`hwprune farm status` on a pseudo-terminal."""

    def __init__(self) -> None:
        self._screen, other = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hwprune", "farm", "status"],
            # A shell's background job has Ctrl-C ignored, and its children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            stdin=other,
            stdout=other,
            stderr=other,
            env=os.environ | {"COLUMNS": "200", "LINES": "60", "TERM": "xterm"},
        )
        os.close(other)
        self.said = ""

    def wait_for(self, text: str) -> None:
        """Read on until a text has come."""
        end = time.monotonic() + 60
        while text not in self.said:
            assert time.monotonic() < end, f"no {text!r} in {self.said!r}"
            if select.select([self._screen], [], [], 1)[0]:
                self.said += os.read(self._screen, 65536).decode(errors="replace")


def test_live_in_a_terminal_it_redraws_and_stops_when_the_farm_ends():
    with running() as tell:
        terminal = Terminal()
        terminal.wait_for("orin-1")
        tell(boards=(BoardStatus(name="late-board", kind=KIND, state="idle"),))
        terminal.wait_for("late-board")
    write_status(farm_status(closed=True))
    terminal.wait_for("ended")
    assert terminal.process.wait(60) == 0


def test_ctrl_c_is_the_way_out_of_the_live_view():
    with running():
        terminal = Terminal()
        terminal.wait_for("orin-1")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(60) == 0
    assert "Traceback" not in terminal.said
