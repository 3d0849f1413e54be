"""Pages for people: their links, what is made from the code, and how long the first one is."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

import hwprune
from hwprune import errors
from hwprune.cli.app import app
from hwprune.cli.board_check import UNREACHED
from hwprune.cli.screen import UNREAD
from hwprune.cli.verbs import INTERRUPTED
from hwprune.report.result import BELOW_FLOOR, NOT_SHOWN
from tests.pages import ROOT, pages, renewed

LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)|<img [^>]*src=\"([^\"]+)\"")
LONGEST_README = 700


def markdown() -> list[Path]:
    told = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    # A copy of the project without git's folder has its pages too.
    names = told.stdout.split() or [str(p.relative_to(ROOT)) for p in ROOT.rglob("*.md")]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


@cache
def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", markdown(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_it(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link, picture in LINK.findall(text):
        target, _, anchor = (link or picture).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = (page.parent / target) if target else page
        assert found.exists(), f"{page.relative_to(ROOT)}: {target}"
        if anchor:
            assert anchor in anchors(found), f"{page.relative_to(ROOT)}: {target}#{anchor}"


def test_what_pages_say_of_the_code_is_up_to_date() -> None:
    made = list(pages())
    assert made
    for page in made:
        text = page.read_text(encoding="utf-8")
        assert renewed(text) == text, f"{page.name}: run python -m tests.pages"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= LONGEST_README


def test_every_exit_code_is_on_the_list() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    raised = {kind.exit_code for kind in kinds if issubclass(kind, errors.HwpruneError)}
    others = {0, NOT_SHOWN, BELOW_FLOOR, INTERRUPTED, UNREAD, UNREACHED}
    assert set(errors.EXIT_CODES) == raised | others


def test_every_verb_is_on_the_page_of_verbs() -> None:
    page = (ROOT / "hwprune/cli/verbs.md").read_text(encoding="utf-8")
    for name, verb in get_command(app).commands.items():  # type: ignore[attr-defined]
        for inner in getattr(verb, "commands", {"": None}):
            assert f"hwprune {name} {inner}".strip() in page, f"{name} {inner}"


def test_the_page_of_the_python_names_has_these_names_and_no_others() -> None:
    page = (ROOT / "hwprune/api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(hwprune.__all__)


def test_examples_and_pages_use_public_names_alone() -> None:
    """`hwprune.network.zoo` is named in deployments, by text: networks to try things with."""
    for script in (ROOT / "profiles" / "deployments").rglob("*.py"):
        text = script.read_text(encoding="utf-8")
        assert not re.findall(r"^(?:from|import) hwprune\.\S+", text, re.MULTILINE), script.name
        for names in re.findall(r"^from hwprune import (.+)$", text, re.MULTILINE):
            assert {name.strip() for name in names.split(",")} <= set(hwprune.__all__)
