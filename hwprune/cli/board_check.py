"""`hwprune boards check`: does each board answer, and can it be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwprune.cli.options import Folder, Json

if TYPE_CHECKING:
    from pathlib import Path

    from hwprune.board import Board

UNREACHED = 4
"""The exit code of a board that does not answer."""

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help="Boards; all by default.", show_default=False),
]


def check(names: Names = None, folder: Folder = None, as_json: Json = False) -> None:
    """Measure a tiny network on boards: do they answer, and do they doubt themselves.

    Exit code 4 if one does not answer, or its profile cannot be read.

    Example:  hwprune boards check lab-pi
    """
    from hwprune.board import Board, find_board
    from hwprune.cli.screen import print_json
    from hwprune.report.progress import watched

    chosen = [find_board(name, folder) for name in names] if names else _all(folder)
    results = []
    with watched("check boards", len(chosen)) as progress:
        for board in chosen:
            results.append(probe(board) if isinstance(board, Board) else board)
            progress.advance(note=results[-1]["name"])
    if as_json:
        print_json({"boards": results})
    else:
        _show(results)
    if any(not result["answers"] for result in results):
        raise typer.Exit(UNREACHED)


def probe(board: Board) -> dict[str, Any]:
    """A reading of a tiny network on the board, or why there is none, as plain data."""
    from hwprune.channels.base import make_base
    from hwprune.cli.checks.board import tiny_network
    from hwprune.errors import HwpruneError
    from hwprune.pipeline.measure import fit, read

    result: dict[str, Any] = {"name": board.name, "kind": board.kind, "answers": False}
    if board.is_placeholder:
        # ssh would look for a host of that name, and say less.
        return {**result, "error": f"set host in its profile: it is still '{board.host}'"}
    base = make_base(tiny_network())
    try:
        _, reading = next(read(fit(board, base, None, None), {"check": base}))
    except HwpruneError as error:
        return {**result, "error": error.one_line}
    return {
        **result,
        "answers": True,
        "latency_ms": reading.latency_ms,
        "low_ms": reading.low_ms,
        "high_ms": reading.high_ms,
        "doubts": list(reading.doubts),
        "gate": reading.conditions.get("gate"),
    }


def _all(folder: Path | None) -> list[Board | dict[str, Any]]:
    """Every board of the folder that somebody has set up, or what is wrong with its profile."""
    from hwprune.board import load_board
    from hwprune.board_folder import board_folder
    from hwprune.errors import HwpruneError, InputError

    place = board_folder(folder)
    ready: list[Board | dict[str, Any]] = []
    for path in sorted(place.glob("*.toml")):
        try:
            board = load_board(path)
        except HwpruneError as error:
            # The others are checked all the same.
            row = {"name": path.stem, "kind": "", "answers": False, "error": error.one_line}
            ready.append(row)
        else:
            ready += [] if board.is_placeholder else [board]
    if not ready:
        raise InputError(
            f"there is no board in {place} to check",
            next_step="hwprune boards add NAME --ssh USER@HOST",
        )
    return ready


def _show(results: list[dict[str, Any]]) -> None:
    from hwprune.cli.screen import output
    from hwprune.report import figures

    console = output()
    for result in results:
        if not result["answers"]:
            console.print("fail  ", style="bold red", end="")
            console.print(f"{result['name']}: {result['error']}", soft_wrap=True)
            continue
        state, style = ("warn", "yellow") if result["doubts"] else ("ok", "green")
        console.print(f"{state:<4}  ", style=style, end="")
        span = figures.spread_ms(result["low_ms"], result["high_ms"])
        text = (
            f"{result['name']}: a tiny network takes {figures.ms(result['latency_ms'])} ({span})"
        )
        console.print(text, soft_wrap=True)
        for doubt in result["doubts"]:
            console.print(f"      it doubts this: {doubt}", soft_wrap=True)
