"""`hwprune boards`: the boards that are known by name, as profiles in a folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwprune.cli.board_check import check
from hwprune.cli.board_compare import compare
from hwprune.cli.board_list import list_, show
from hwprune.cli.board_nodes import AddressMayBeLeftOut
from hwprune.cli.options import Folder, Json, Name

if TYPE_CHECKING:
    from hwprune.board import Board
    from hwprune_device.job import Target

boards = typer.Typer(
    name="boards", no_args_is_help=True, help="Boards that are known by name: add, list, check."
)
boards.command("list", cls=AddressMayBeLeftOut)(list_)
for verb in (show, check, compare):
    boards.command()(verb)

Ssh = Annotated[
    str, typer.Option("--ssh", metavar="USER@HOST", help="Reach it by ssh.", show_default=False)
]
Options = Annotated[
    list[str] | None,
    typer.Option("--ssh-option", "-o", help="As ssh's -o, such as Port=2222.", show_default=False),
]
Runtime = Annotated[
    str,
    typer.Option(
        "--runtime",
        help="What runs networks there, such as onnxrt; a wrong name is answered with all. "
        "Left out: TensorRT in fp16 where it is installed, else ONNX Runtime.",
        show_default=False,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        help="fp32, tf32, fp16, bf16 or int8, as far as the runtime computes in it. Left out: "
        "fp16 with TensorRT, else fp32.",
        show_default=False,
    ),
]


@boards.command()
def add(
    name: Name,
    ssh: Ssh = "",
    local: Annotated[bool, typer.Option("--local", help="It is this machine.")] = False,
    ray: Annotated[bool, typer.Option("--ray", help="It is a node of a Ray cluster.")] = False,
    ssh_option: Options = None,
    python: Annotated[str, typer.Option("--python", help="The board's own Python.")] = "",
    gateway: Annotated[str, typer.Option("--gateway", help="The Ray node that reaches it.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Boards of one kind share readings.")] = "",
    runtime: Runtime = "",
    precision: Precision = "",
    folder: Folder = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a profile.")] = False,
    unseen: Annotated[bool, typer.Option("--unseen", help="Write it without a look.")] = False,
    as_json: Json = False,
) -> None:
    """Look at a board and write its profile.

    Example:  hwprune boards add lab-pi --ssh pi@raspberrypi.local
    """
    from dataclasses import replace
    from datetime import date

    from hwprune.board import load_board
    from hwprune.board_folder import board_folder, board_path
    from hwprune.board_profile import (
        likely_kind,
        likely_target,
        profile_text,
        write_profile,
    )
    from hwprune.cli.screen import print_json

    wanted = _wanted(
        name,
        ways={"ssh": bool(ssh), "local": local, "ray": ray},
        rest={"host": ssh, "ssh_options": tuple(ssh_option or ()), "gateway": gateway}
        | {"python": python, "kind": kind or name},
        target={"runtime": runtime, "precision": precision or _usual_precision(runtime)}
        if runtime
        else {},
    )
    path = board_path(name, board_folder(folder))
    # Before the look, which may take a minute.
    _refuse_to_replace(path, force)
    seen = None if unseen else _look(wanted)
    target = wanted.target if runtime else _computing(name, likely_target(seen), precision)
    board = replace(wanted, kind=kind or likely_kind(seen) or name, target=target)
    _write(lambda: write_profile(path, profile_text(board, seen, date.today())), path)
    # Read back as every verb will read it.
    load_board(path)
    if as_json:
        print_json({"name": name, "path": str(path), "survey": seen})
    else:
        _show_added(board, path, seen)


@boards.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Delete a board's profile; its readings stay in the store.

    Example:  hwprune boards remove lab-pi
    """
    from hwprune.board import find_board
    from hwprune.board_folder import board_folder, board_path
    from hwprune.cli.screen import output, print_json
    from hwprune.errors import InputError

    path = board_path(name, board_folder(folder))
    if not path.is_file():
        find_board(name, board_folder(folder))  # says which there are
        raise InputError(f"board '{name}' has no profile in {path.parent}, nothing to remove")
    if not yes:
        # A script cannot answer, and must not hang.
        if not sys.stdin.isatty():
            raise InputError(f"{path} was not removed", next_step="say --yes to remove it")
        typer.confirm(f"remove {path}?", abort=True)
    _write(path.unlink, path)
    if as_json:
        print_json({"removed": str(path)})
    else:
        output().print(f"removed {path}")


def _usual_precision(runtime: str) -> str:
    """What people run there; empty for a runtime that is not known, which is refused later."""
    from hwprune_device.runtimes import known_facts

    facts = known_facts(runtime)
    return facts.usual_precision if facts is not None else ""


def _wanted(
    name: str, *, ways: dict[str, bool], rest: dict[str, Any], target: dict[str, str]
) -> Board:
    """The board that the options describe, checked as its profile would be."""
    from hwprune.board import parse_board
    from hwprune.errors import InputError

    chosen = [way for way, given in ways.items() if given]
    if len(chosen) != 1:
        raise InputError(
            "say in one way how the board is reached",
            given=", ".join(f"--{way}" for way in chosen) or "none",
            possible="--ssh USER@HOST, --local, --ray",
        )
    data = {key: value for key, value in rest.items() if value}
    said = {key: value for key, value in target.items() if value}
    return parse_board({"connection": chosen[0], **data, "target": said}, name=name)


def _computing(name: str, target: Target, precision: str) -> Target:
    """The target that was chosen for a board, in the precision that was asked for, if any.

    Raises:
        InputError: what runs networks there does not compute in it.
    """
    from hwprune.board import parse_board
    from hwprune.errors import InputError

    said = {"runtime": target.runtime, "precision": precision or target.precision}
    try:
        return parse_board({"target": said}, name=name).target
    except InputError as error:
        error.next_step = "say with --runtime what else is to run networks there"
        raise


def _look(board: Board) -> dict[str, Any]:
    from hwprune.errors import BoardError
    from hwprune.farm.connections import survey
    from hwprune.report.progress import watched
    from hwprune.survey import checked

    try:
        with watched(f"look at {board.name}"):
            return checked(survey(board))
    except BoardError as error:
        again = "--unseen writes the profile without a look"
        error.next_step = f"{error.next_step}; {again}" if error.next_step else again
        raise


def _refuse_to_replace(path: Path, force: bool) -> None:
    from hwprune.errors import InputError

    if path.exists() and not force:
        raise InputError(
            f"there is a board called '{path.stem}' already",
            given=str(path),
            next_step="take another name, or replace it with --force",
        )


def _write(work: Callable[[], None], path: Path) -> None:
    from hwprune.errors import InputError

    try:
        work()
    except OSError as error:
        raise InputError(
            f"{path} cannot be written",
            given=error.strerror or str(error),
            next_step="name a folder of your own with --folder",
        ) from None


def _show_added(board: Board, path: Path, seen: dict[str, Any] | None) -> None:
    from hwprune.cli.checks.remote import findings
    from hwprune.cli.screen import output

    console = output()
    console.print(f"wrote {path}", soft_wrap=True)
    if seen is None:
        console.print(f"nobody has looked at it yet: hwprune doctor {board.name}")
        return
    for found in findings(board, seen):
        if found.state != "ok":
            text = f"{found.state:<4}  {found.name}: {found.found}"
            console.print(text, soft_wrap=True)
            console.print(f"      → {found.mend}", soft_wrap=True)
    console.print(f"next: hwprune boards check {board.name}")
