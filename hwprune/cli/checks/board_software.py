"""The doctor's look at a board's software: its Python, and what its runtime needs there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hwprune.board_profile import table
from hwprune.cli.checks.check import Check
from hwprune.cli.checks.mends import install, there
from hwprune.survey import Survey
from hwprune_device.runtimes import RuntimeFacts, facts_of

if TYPE_CHECKING:
    from hwprune.board import Board

OUR_OPSET = 20
"""Of networks that torch's exporter writes; a file of the user's may be of a later one."""


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
    facts = facts_of(board.target.runtime)
    for name in facts.packages:
        yield _package(board, survey, name, facts)


def _package(board: Board, survey: Survey, name: str, facts: RuntimeFacts) -> Check:
    found = table(table(survey, "packages"), name)
    if found.get("imports"):
        version = str(found.get("version", ""))
        # `newest_opset` is about the last of the packages.
        newest = facts.newest_opset(version) if name == facts.packages[-1] else None
        if newest is not None:
            return _that_reads(newest, board, survey, f"{name} {version}", facts)
        return Check(name=name, state="ok", found=f"{name} {version}".strip())
    said = str(found.get("error", "not told"))
    return Check(name=name, state="fail", found=said, mend=install(board, survey, name, said))


def _that_reads(
    newest: int, board: Board, survey: Survey, package: str, facts: RuntimeFacts
) -> Check:
    """A runtime's package that reads opsets up to `newest`; too few for our own exports fail."""
    name = facts.packages[-1]
    found = f"{package}, for networks up to opset {newest}"
    if newest >= OUR_OPSET:
        later = f"{found} (opset {newest + 1}: {facts.least_version(newest + 1)})"
        return Check(name=name, state="ok", found=later)
    python = str(table(survey, "python").get("executable", "python3"))
    needed = f"; networks that are exported here are of opset {OUR_OPSET}"
    needed += f", which needs {name} {facts.least_version(OUR_OPSET)}"
    upgrade = there(board, f"{python} -m pip install --upgrade {name}")
    return Check(name=name, state="fail", found=found + needed, mend=upgrade)
