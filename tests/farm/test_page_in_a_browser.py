"""The farm's page as a real browser draws it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from hwprune.farm.status import BoardStatus, FarmView, write_status
from tests.farms import HOSTILE, KIND, farm_status, gone, running, serving

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Some seconds of the page's own time, so that it asks more than once.
    "--virtual-time-budget=4000",
    "--dump-dom",
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs a browser: there is no chromium here")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def dom(page, tmp_path):
    """The page as a browser has it after some seconds of its own time."""
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'browser'}", page.url],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def drawn(html):
    """What the script has made: without the templates and itself."""
    return re.sub(r"<(template|script|style)\b.*?</\1>", "", html, flags=re.DOTALL)


def test_a_browser_draws_the_boards_and_then_what_changed(tmp_path):
    with running() as tell, serving() as page:
        first = drawn(dom(page, tmp_path))
        tell(boards=(BoardStatus(name="new", kind=KIND, state="quarantined"),))
        second = drawn(dom(page, tmp_path))
    for text in ("my-farm", "orin-1", "▶ busy", "16 candidates, 3 s", "61 °C", "−0.8 % off"):
        assert text in first
    for text in ("✕ lost", "connecting, attempt 3", "310 of 1120", "66 device-minutes"):
        assert text in first
    assert re.search(r'id="notices"[^>]*aria-live="polite"[^>]*><p[^>]*>orin-2 was lost', first)
    assert "new" in second and "‖ quarantined" in second and "orin-1" not in second


def test_a_hostile_name_is_text_and_runs_nothing(tmp_path):
    evil = BoardStatus(name=HOSTILE, kind=HOSTILE, state="lost", message=HOSTILE, job=HOSTILE)
    told = {"boards": (evil,), "kinds": (), "warnings": (HOSTILE,), "what": HOSTILE}
    with running(**told), serving() as page:
        html = dom(page, tmp_path)
    assert drawn(html).count("&lt;img src=x") == 6
    assert "<img" not in html and "<title>taken" not in html


def test_a_browser_is_told_when_no_farm_runs(tmp_path):
    with serving() as page:
        html = drawn(dom(page, tmp_path))
    assert re.search(r'<div id="empty" class="empty">\s*<b>No farm runs on this machine', html)


def test_a_farm_that_falls_silent_is_said_not_to_answer_any_more(tmp_path):
    write_status(gone())
    with serving(FarmView(gone=True).look) as page:
        html = drawn(dom(page, tmp_path))
    assert "The farm does not answer any more" in html and "✕ gone" in html
    assert "was busy" in html and "▶" not in html


def test_a_page_that_gets_no_answers_says_so_and_keeps_what_it_knew(tmp_path):
    answers = [[farm_status()]]

    def look():
        if not answers:
            raise ConnectionError
        return answers.pop()

    with serving(look) as page:
        html = drawn(dom(page, tmp_path))
    assert "The farm does not answer any more: this page got no answer since" in html
    assert "orin-1" in html
