"""The doctor's look at a board's software: its Python, and what its runtime needs there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hwprune.board_profile import table
from hwprune.cli.checks.check import Check
from hwprune.cli.checks.mends import install, there
from hwprune.survey import Survey
from hwprune_device.runtimes import facts_of
from hwprune_device.runtimes.onnxrt.versions import least_version, newest_opset

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
    for name in facts_of(board.target.runtime).packages:
        yield _package(board, survey, name)


def _package(board: Board, survey: Survey, name: str) -> Check:
    found = table(table(survey, "packages"), name)
    if found.get("imports"):
        version = str(found.get("version", ""))
        if name == "onnxruntime" and (newest := newest_opset(version)) is not None:
            return _onnxruntime(board, survey, version, newest)
        return Check(name=name, state="ok", found=f"{name} {version}".strip())
    said = str(found.get("error", "not told"))
    return Check(name=name, state="fail", found=said, mend=install(board, survey, name, said))


def _onnxruntime(board: Board, survey: Survey, version: str, newest: int) -> Check:
    """What a version of ONNX Runtime reads; one that is too old for our own exports fails."""
    found = f"onnxruntime {version}, for networks up to opset {newest}"
    if newest >= OUR_OPSET:
        later = f"{found} (opset {newest + 1}: {least_version(newest + 1)})"
        return Check(name="onnxruntime", state="ok", found=later)
    python = str(table(survey, "python").get("executable", "python3"))
    needed = f"; networks that are exported here are of opset {OUR_OPSET}"
    needed += f", which needs onnxruntime {least_version(OUR_OPSET)}"
    upgrade = there(board, f"{python} -m pip install --upgrade onnxruntime")
    return Check(name="onnxruntime", state="fail", found=found + needed, mend=upgrade)
