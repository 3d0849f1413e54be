"""Progress: few plain lines without a terminal, a bar with one, safe from any thread."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from hwprune.report.progress import BarProgress, LineProgress, watched


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_lines_come_at_most_every_few_seconds_with_eta_and_note(clock):
    out = io.StringIO()
    progress = LineProgress(out, every_s=5, clock=clock)
    progress.begin("search", 100)
    for step in range(1, 101):
        clock.now = step * 0.1
        progress.advance(note=f"best {step}")
    progress.end("done well")
    assert out.getvalue().splitlines() == [
        "search …",
        "search: 50/100  ETA 5.0 s  best 50",
        "search: 100/100  best 100",
        "search: done in 10.0 s  done well",
    ]


def test_an_unknown_total_counts_without_an_eta(clock):
    out = io.StringIO()
    progress = LineProgress(out, every_s=0, clock=clock)
    progress.begin("read", None)
    progress.advance(3)
    assert out.getvalue().splitlines()[-1] == "read: 3"


def test_a_stage_that_was_left_open_is_closed_by_the_next(clock):
    out = io.StringIO()
    progress = LineProgress(out, clock=clock)
    progress.begin("one", 1)
    progress.begin("two", 1)
    assert "one: done" in out.getvalue()


def make_line(stream):
    return LineProgress(stream, every_s=0)


def make_bar(stream):
    return BarProgress(Console(file=stream, force_terminal=True, width=120))


@pytest.mark.parametrize("make", [make_line, make_bar])
def test_steps_from_many_threads_are_all_counted(make):
    out = io.StringIO()
    progress = make(out)
    progress.begin("search", 400)
    threads = [
        threading.Thread(target=lambda: [progress.advance(note="n") for _ in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.advance(0)
    progress.end("finished")
    progress.close()
    assert "search" in out.getvalue() and "finished" in out.getvalue()
    if make is make_line:
        assert "400/400" in out.getvalue()


def test_square_brackets_in_names_and_notes_are_shown_as_they_are():
    out = io.StringIO()
    progress = make_bar(out)
    progress.begin("cut layer[0]", 1)
    progress.advance(note="[bold]widths[/nothing]")
    progress.end("[8, 16]")
    progress.close()
    assert "layer[0]" in out.getvalue() and "[8, 16]" in out.getvalue()


def test_calls_without_a_stage_do_nothing():
    out = io.StringIO()
    for progress in (make_line(out), make_bar(out)):
        progress.advance()
        progress.end()
        progress.close()
    assert "done" not in out.getvalue()


def test_a_stage_is_said_to_be_done_only_when_it_was(capsys):
    with watched("look", 2) as progress:
        progress.advance()
    assert capsys.readouterr().err.splitlines()[1].startswith("look: done in")
    with pytest.raises(ZeroDivisionError), watched("divide"):
        raise ZeroDivisionError
    assert capsys.readouterr().err == "divide …\n"
