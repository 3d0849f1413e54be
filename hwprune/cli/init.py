"""`hwprune init`: a deployment file to begin with, and a stub for what only its user can write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hwprune.cli.options import Json
from hwprune.task_settings import KINDS

OWN = "own"
"""A task that is no kind of ours: its stub is task.py."""
DIGITS = "digits"
"""Where no kind is asked for: the quickstart, which runs as it is."""
TARGETS = {
    "classification": "N whole numbers",
    "multilabel": "N K of 0 and 1",
    "regression": "N ... numbers",
    "segmentation": "N H W classes",
}
"""What the targets of a kind are; the others have no data with targets."""
TEMPLATES = Path(__file__).parent / "templates"

File = Annotated[Path, typer.Argument(metavar="FILE.toml", help="The file to write.")]
Board = Annotated[str, typer.Option("--board", help="A board's name, or its profile.")]
Kind = Annotated[
    str,
    typer.Option(
        "--task",
        metavar="KIND",
        help=f"What the network is for: {', '.join(KINDS)}, or {OWN}; left out: an example that "
        "runs as it is.",
        show_default=False,
    ),
]


def init(
    file: File = Path("deployment.toml"),
    board: Board = "this-machine",
    task: Kind = "",
    as_json: Json = False,
) -> None:
    """Write a deployment file with comments, ready to run or to be filled.

    Nothing is overwritten.

    Example:  hwprune init && hwprune prune deployment.toml

    Example:  hwprune init mine.toml --board pi-5 --task own
    """
    from hwprune.board import find_board
    from hwprune.cli.screen import output, print_json
    from hwprune.shipped import shipped_profiles

    kind = _checked(file, task)
    find_board(board)
    stub = {OWN: "task.py", DIGITS: "", "imitation": ""}.get(kind, "data.py")
    texts = {file: _text("deployment.toml.j2", file, kind, stub, board)}
    if stub:
        texts[file.parent / stub] = _text(f"{stub}.j2", file, kind, stub, board)
    _write(texts)
    written, then = [str(path) for path in texts], f"hwprune prune {file}"
    if as_json:
        print_json({"written": written, "board": board, "task": kind, "next": then})
        return
    console = output()
    console.print(f"written   {', '.join(written)}")
    if kind != DIGITS:
        console.print(f"fill      {_to_fill(kind, file, stub)}")
    console.print(f"next      {then}", soft_wrap=True)
    console.print(f"keys      {shipped_profiles() / 'deployment-keys.md'}", soft_wrap=True)


def _checked(file: Path, task: str) -> str:
    """The kind of task, or `digits`.

    Raises:
        InputError: no such kind, or a file that `prune` would take for a network.
    """
    from hwprune.errors import InputError

    kinds = (*KINDS, OWN)
    if task and task not in kinds:
        raise InputError(f"there is no kind of task '{task}'", possible=", ".join(kinds))
    if file.suffix != ".toml":
        raise InputError(
            "a deployment is a TOML file", given=str(file), possible=f"{file.stem or 'mine'}.toml"
        )
    return task or DIGITS


def _text(template: str, file: Path, kind: str, stub: str, board: str) -> str:
    import jinja2

    from hwprune.board_folder import is_path
    from hwprune.toml_file import to_toml

    if is_path(board):
        # A path in a deployment starts at the deployment.
        board = os.path.join(".", os.path.relpath(Path(board).expanduser(), file.parent))
    house = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True, keep_trailing_newline=True
    )
    return house.get_template(template).render(
        file=file,
        kind=kind,
        stub=stub,
        board=to_toml(board),
        name=file.stem,
        targets=TARGETS.get(kind, ""),
    )


def _write(texts: dict[Path, str]) -> None:
    """Write all files, or none where one is there.

    Raises:
        InputError: one is there already, or its folder cannot be written.
    """
    from hwprune.errors import InputError

    there = [str(path) for path in texts if path.exists()]
    if there:
        raise InputError(
            f"{' and '.join(there)}: there already, so nothing was written",
            next_step="move it away, or name another file: hwprune init FOLDER/NAME.toml",
        )
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            # x: one that has come since the look is not overwritten.
            with path.open("x", encoding="utf-8") as target:
                target.write(text)
    except OSError as error:
        raise InputError(f"{path} cannot be written", given=error.strerror or str(error)) from None


def _to_fill(kind: str, file: Path, stub: str) -> str:
    """What is left to do before it runs."""
    functions = {"task.py": "inputs() and score()", "data.py": "sets()"}
    parts = [f"{functions[stub]} in {file.parent / stub}"] if stub else ["task.inputs"]
    return f"{' and '.join([*parts, 'network.source'])} in {file}"
