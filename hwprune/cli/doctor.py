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


def doctor(as_json: Json = False) -> None:
    """Check this machine and its board: software, cores, clocks, disk, a real measurement.

    Exit code 1 if anything fails; warnings do not count.

    Example:  hwprune doctor
    """
    from hwprune.cli.screen import output, print_json

    found = []
    console = output()
    for check in examine():
        found.append(check)
        if not as_json:
            console.print(f"[{STYLES[check.state]}]{check.state:<4}[/]  ", end="")
            console.print(f"{check.name:<15} {check.found}", markup=False, soft_wrap=True)
            if check.mend:
                console.print(f"{'':<22}→ {check.mend}", markup=False, soft_wrap=True)
    failed = [check.name for check in found if check.state == "fail"]
    if as_json:
        print_json({"healthy": not failed, "checks": [asdict(check) for check in found]})
    else:
        console.print(_summary(found))
    if failed:
        raise typer.Exit(1)


def examine() -> Iterator[Check]:
    """The findings, one by one as they are made."""
    from hwprune.cli.checks import board, data, machine, software
    from hwprune.cli.checks.check import looked

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
        yield looked(name, look)
    yield from software.packages()
    for name, look in (
        ("tensorrt", software.tensorrt),
        ("sklearn:digits", data.sklearn_digits),
        ("torchvision", data.torchvision_data),
        ("board", board.board),
    ):
        yield looked(name, look)


def _summary(found: list[Check]) -> str:
    counts = {state: sum(c.state == state for c in found) for state in STYLES}
    if counts["fail"]:
        return f"\n{counts['fail']} failed: hwprune cannot work here until that is mended"
    if counts["warn"]:
        return f"\nhwprune works here; {counts['warn']} warnings"
    return "\nhwprune works here"
