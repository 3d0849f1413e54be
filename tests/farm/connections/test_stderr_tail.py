"""The last words of a process: few lines, short ones, and nothing that a terminal would act on."""

from __future__ import annotations

import tracemalloc

import pytest

from hwprune.farm.connections.stderr_tail import LINE_LIMIT, LINES, StderrTail


def lines_of(*chunks: bytes) -> list[str]:
    words = StderrTail()
    for chunk in chunks:
        words.feed(chunk)
    words.finish()
    return list(words.lines)


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 100])
def test_lines_come_out_whole_however_the_stream_is_cut(piece):
    text = "first\nsécond\r\n  third\n\n\nlast".encode()
    chunks = [text[at : at + piece] for at in range(0, len(text), piece)]
    assert lines_of(*chunks) == ["first", "sécond", "  third", "last"]


def test_a_progress_bar_is_lines_too():
    assert lines_of(b"10 %\r20 %\r", b"30 %\rdone\n") == ["10 %", "20 %", "30 %", "done"]


def test_only_the_last_lines_stay():
    assert lines_of(*(b"%d\n" % n for n in range(1000))) == [str(n) for n in range(980, 1000)]
    assert LINES == 20


def test_what_a_terminal_would_act_on_is_taken_out():
    assert lines_of(b"\x1b]0;mine\x07 \x1b[31mred\xff\n") == ["�]0;mine� �[31mred�"]


def test_a_line_without_an_end_costs_no_memory():
    words = StderrTail()
    chunk = b"x" * (1 << 16)
    tracemalloc.start()
    for _ in range(2000):
        words.feed(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    words.feed(b"\nnext\n")
    assert peak < 1 << 20
    assert list(words.lines) == ["x" * LINE_LIMIT, "next"]
