"""`hwprune boards compare`: how far boards that should be alike are apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwprune.cli.options import Folder, Json

if TYPE_CHECKING:
    from pathlib import Path

    from hwprune.board import Board
    from hwprune.channels.base import BaseNetwork
    from hwprune_device.reading import Reading

AGREE_PCT = 3.0
"""Boards of one kind whose canaries are further apart cannot share readings."""

Arguments = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME NAME... [MODEL]",
        help="Two boards or more, and a network to measure beside the built-in ones.",
        show_default=False,
    ),
]


def compare(arguments: Arguments, folder: Folder = None, as_json: Json = False) -> None:
    """Measure the same networks on boards: their spread, and the slowest of them.

    Example:  hwprune boards compare pi-1 pi-2 model.onnx
    """
    from hwprune.cli.screen import print_json
    from hwprune.report.progress import watched

    boards, model = _chosen(arguments, folder)
    networks = _networks(model)
    readings: dict[str, dict[str, Reading]] = {}
    with watched("compare boards", len(boards) * len(networks)) as progress:
        for board in boards:
            readings[board.name] = {}
            for network, reading in _measured(board, networks):
                readings[board.name][network] = reading
                progress.advance(note=f"{board.name}, {network}: {reading.latency_ms:.4g} ms")
    result = comparison(boards, readings, canaries=[n for n in networks if n != model])
    if as_json:
        print_json(result)
    else:
        _show(result)


def comparison(
    boards: Sequence[Board], readings: dict[str, dict[str, Reading]], canaries: Sequence[str]
) -> dict[str, Any]:
    """What readings of the same networks on several boards say of the boards, as plain data.

    Args:
        readings: by board, then by network.
        canaries: the networks that decide whether the boards agree.
    """
    names = [board.name for board in boards]
    rows = [
        _row(network, {n: readings[n][network] for n in names}) for network in readings[names[0]]
    ]
    # The mean over networks, so that one that suits a board's memory does not decide alone.
    slowness = {
        name: prod(row["times_fastest"][name] for row in rows) ** (1 / len(rows)) for name in names
    }
    slowest = max(slowness, key=lambda name: slowness[name])
    return {
        "boards": names,
        "kinds": sorted({board.kind for board in boards}),
        "networks": rows,
        "slowest": slowest,
        "slowest_times_fastest": slowness[slowest] / min(slowness.values()),
        "canaries_agree": all(
            row["spread_pct"] <= AGREE_PCT for row in rows if row["network"] in canaries
        ),
        "agree_within_pct": AGREE_PCT,
        "doubts": {
            name: list(dict.fromkeys(d for r in readings[name].values() for d in r.doubts))
            for name in names
        },
    }


def _row(network: str, by_board: dict[str, Reading]) -> dict[str, Any]:
    """One network on all boards."""
    latency = {name: reading.latency_ms for name, reading in by_board.items()}
    fastest = min(latency.values())
    return {
        "network": network,
        "latency_ms": latency,
        "low_ms": {name: reading.low_ms for name, reading in by_board.items()},
        "high_ms": {name: reading.high_ms for name, reading in by_board.items()},
        "times_fastest": {name: value / fastest for name, value in latency.items()},
        "spread_pct": (max(latency.values()) / fastest - 1) * 100,
    }


def _chosen(arguments: Sequence[str], folder: Path | None) -> tuple[list[Board], str]:
    """The boards, and the network if the last argument is one rather than a board."""
    from hwprune.board import find_board
    from hwprune.errors import InputError

    *names, last = arguments
    model = last if last.endswith(".onnx") or ":" in last else ""
    boards = [find_board(name, folder) for name in (names if model else arguments)]
    # One board named twice would agree with itself.
    if len({board.name for board in boards}) < max(2, len(boards)):
        raise InputError(
            "compare takes two different boards or more",
            given=", ".join(board.name for board in boards),
            next_step="hwprune boards list",
        )
    waiting = [board.name for board in boards if board.is_placeholder]
    if waiting:
        raise InputError(f"the host of board '{waiting[0]}' is not set in its profile")
    return boards, model


def _networks(model: str) -> dict[str, BaseNetwork]:
    """The canaries, and the user's network, ready to be placed."""
    from hwprune.channels.base import make_base
    from hwprune.cli.canaries import canaries

    found = {name: make_base(build()) for name, build in canaries().items()}
    if model:
        from hwprune.network.graph_source import load_graph

        found[model] = make_base(load_graph(model).onnx)
    return found


def _measured(board: Board, networks: dict[str, BaseNetwork]) -> list[tuple[str, Reading]]:
    """A reading of every network on one board.

    Raises:
        BoardError: the board does not answer, is emulated, or cannot run one of them.
    """
    from hwprune.pipeline.measure import fit, read

    # The canaries have a batch of 1, and what is compared must be.
    return list(read(fit(board, next(iter(networks.values())), None, None), networks))


def _show(result: dict[str, Any]) -> None:
    from rich.table import Table

    from hwprune.cli.screen import output
    from hwprune.report import figures

    grid = Table(box=None, header_style="bold", pad_edge=False)
    grid.add_column("network")
    for name in result["boards"]:
        grid.add_column(name, justify="right")
    grid.add_column("spread", justify="right")
    for row in result["networks"]:
        latencies = [figures.ms(row["latency_ms"][name]) for name in result["boards"]]
        grid.add_row(row["network"], *latencies, f"{row['spread_pct']:.1f} %")
    console = output()
    console.print(grid)
    for name, doubts in result["doubts"].items():
        for doubt in doubts:
            console.print(f"{name} doubts: {doubt}", style="yellow", soft_wrap=True)
    if len(result["kinds"]) > 1:
        console.print(f"these are boards of different kinds: {', '.join(result['kinds'])}")
    within = f"within {result['agree_within_pct']:g} %"
    console.print(
        f"the canaries agree {within}"
        if result["canaries_agree"]
        else f"the canaries do not agree {within}: these boards should not share readings"
    )
    console.print(
        f"slowest: {result['slowest']}, {result['slowest_times_fastest']:.3f} times the fastest",
    )
