"""`hwprune measure`: what one ONNX network costs on a board, without ray and without a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprune.cli.inspect import Input, Model, Weights
from hwprune.cli.options import Size, Threads

if TYPE_CHECKING:
    from hwprune.channels.base import BaseNetwork
    from hwprune.pipeline.measure import Measured
    from hwprune_device.reading import Reading

BoardName = Annotated[
    str,
    typer.Option(
        "--board",
        help="A board's name or its profile; by default this machine.",
        show_default=False,
    ),
]
Repeat = Annotated[
    int, typer.Option("--repeat", min=1, help="Readings, each from a process of its own.")
]
Json = Annotated[bool, typer.Option("--json", help="The readings as JSON on stdout.")]


def measure(
    model: Model,
    board: BoardName = "",
    threads: Threads = None,
    batch: Size = None,
    repeat: Repeat = 5,
    input_: Input = "",
    weights: Weights = None,
    as_json: Json = False,
) -> None:
    """Measure latency and memory of a network on a board.

    Example:  hwprune measure model.onnx --threads 1
    """
    from hwprune.board import find_board, this_machine
    from hwprune.channels.base import make_base
    from hwprune.cli.inspect import parse_shapes
    from hwprune.cli.screen import print_json
    from hwprune.network.graph_source import load_graph
    from hwprune.pipeline.measure import Measured, fit, read
    from hwprune.report.progress import watched

    base = make_base(load_graph(model, shapes=parse_shapes(input_), weights=weights).onnx)
    fitted = fit(find_board(board) if board else this_machine(), base, threads, batch)
    readings: list[Reading] = []
    stage = f"measure {Path(model).name}"
    with watched(stage, repeat) as progress:
        for _, reading in read(fitted, {"measure": base}, repeat=repeat):
            readings.append(reading)
            progress.advance(note=f"{reading.latency_ms:.4g} ms")
    measured = Measured(board=fitted, readings=tuple(readings))
    if as_json:
        print_json(measured.to_json())
    else:
        _show(measured, base, model)


def _show(measured: Measured, base: BaseNetwork, model: str) -> None:
    from hwprune.cli.reading_rows import reading_rows
    from hwprune.cli.screen import output
    from hwprune.report.console import headed

    readings, board = measured.readings, measured.board
    data, target = measured.to_json(), board.target
    shape = "x".join(str(size) for size in (target.batch, *base.input_shape[1:]))
    console = output()
    runs = f" on {board.name}: {_runs(readings[-1])}, input {shape}"
    console.print(headed(Path(model).name, runs))
    for name, text in reading_rows(data, readings):
        console.print(f"{name:<14}{text}", soft_wrap=True)
    for doubt in data["doubts"]:
        console.print(f"{'doubt':<14}{doubt}", style="yellow", soft_wrap=True)


def _runs(reading: Reading) -> str:
    """What ran the network: "onnxrt 1.23.0, fp32, 2 threads", "trt 10.3.0, fp16"."""
    target = reading.target
    words = f"{target['runtime']} {target.get('version', '')}".strip() + f", {target['precision']}"
    # One thread feeds a GPU, and how many there are changes nothing.
    if reading.device_ms is not None:
        return words
    count = target["threads"]
    return f"{words}, {count} thread{'s' if count > 1 else ''}"
