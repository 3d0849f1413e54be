"""`hwprune doctor`: is everything here that a run needs, and how to mend what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hwprune.cli.checks.check import Check

Json = Annotated[bool, typer.Option("--json", help="The findings as JSON on stdout.")]
STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


Name = Annotated[
    str,
    typer.Argument(
        metavar="[BOARD]",
        help="A board's name or its profile; by default this machine.",
        show_default=False,
    ),
]


def doctor(board: Name = "", as_json: Json = False) -> None:
    """Check this machine, or a board: software, cores, clocks, heat, disk, a real measurement.

    Exit code 1 if anything fails; warnings do not count.

    Example:  hwprune doctor lab-pi
    """
    from hwprune.cli.screen import output, print_json

    found = []
    console = output()
    for check in _examine_board(board) if board else examine():
        found.append(check)
        if not as_json:
            console.print(f"{check.state:<4}  ", style=STYLES[check.state], end="")
            console.print(f"{check.name:<15} {check.found}", soft_wrap=True)
            if check.mend:
                console.print(f"{'':<22}→ {check.mend}", soft_wrap=True)
    failed = [check.name for check in found if check.state == "fail"]
    if as_json:
        print_json({"healthy": not failed, "checks": [asdict(check) for check in found]})
    else:
        console.print(_summary(found, f"board {board}" if board else ""))
    if failed:
        raise typer.Exit(1)


def examine() -> Iterator[Check]:
    """The findings, one by one as they are made."""
    from hwprune.cli.checks import board, data, machine, software
    from hwprune.cli.checks.check import probed

    looks: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("python", software.python),
        ("system", software.system),
        ("cores", machine.cores),
        ("governor", machine.governor),
        ("steal", machine.steal),
        ("memory", machine.memory),
        ("cache folder", machine.cache_folder),
        ("run folder", machine.run_folder),
        ("torch", software.torch),
    )
    for name, look in looks:
        yield probed(name, look)
    yield from software.packages()
    for name, look in (
        ("runtimes", software.runtimes),
        ("sklearn:digits", data.sklearn_digits),
        ("torchvision", data.torchvision_data),
        ("board", board.board),
    ):
        yield probed(name, look)


def _examine_board(name: str) -> Iterator[Check]:
    from hwprune.board import find_board
    from hwprune.cli.checks.remote import examine_board

    yield from examine_board(find_board(name))


def _summary(found: list[Check], board: str) -> str:
    place = f"on {board}" if board else "here"
    counts = {state: sum(c.state == state for c in found) for state in STYLES}
    if counts["fail"]:
        return f"\n{counts['fail']} failed: hwprune cannot work {place} until that is mended"
    if counts["warn"]:
        return f"\nhwprune works {place}; {counts['warn']} warnings"
    return f"\nhwprune works {place}"
