"""The doctor's look at a board's software: its Python, and what its runtime needs there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hwprune.board_profile import table
from hwprune.cli.checks.check import Check
from hwprune.cli.checks.mends import install
from hwprune_device.runtimes import facts_of

if TYPE_CHECKING:
    from hwprune.board import Board

Survey = Mapping[str, Any]


def python(survey: Survey) -> Check:
    """The interpreter; one that is too old fails, and nothing else was looked at then."""
    about = table(survey, "python")
    found = f"Python {about.get('version', '?')} ({about.get('executable', '?')})"
    if about.get("new_enough") is not False:
        return Check(name="python", state="ok", found=found)
    return Check(
        name="python",
        state="fail",
        found=f"{found} is older than {about.get('least', '3.10')}",
        mend="install a newer one there and set python in the board's profile to its path",
    )


def software(board: Board, survey: Survey) -> Iterator[Check]:
    """What the board's runtime needs, one by one."""
    for name in facts_of(board.target.runtime).packages:
        yield _package(board, survey, name)


def _package(board: Board, survey: Survey, name: str) -> Check:
    found = table(table(survey, "packages"), name)
    if found.get("imports"):
        return Check(name=name, state="ok", found=f"{name} {found.get('version', '')}".strip())
    said = str(found.get("error", "not told"))
    return Check(name=name, state="fail", found=said, mend=install(board, survey, name, said))
