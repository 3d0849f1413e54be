"""`hwprune measure`: what one ONNX network costs on a board, without ray and without a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwprune.cli.board_options import Size, Threads
from hwprune.cli.inspect import Input, Model, Weights

if TYPE_CHECKING:
    from hwprune.board import Board
    from hwprune.channels.base import BaseNetwork
    from hwprune.farm.session import BoardSession
    from hwprune_device.reading import Reading

QUANTILES = (0.5, 0.9, 0.95)

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
    from hwprune.farm.hello import refuse_emulated
    from hwprune.farm.session import BoardSession
    from hwprune.network.graph_source import load_graph
    from hwprune.report.progress import watched

    base = make_base(load_graph(model, shapes=parse_shapes(input_), weights=weights).onnx)
    fitted = fit(find_board(board) if board else this_machine(), base, threads, batch)
    readings: list[Reading] = []
    stage = f"measure {Path(model).name}"
    with watched(stage, repeat) as progress, BoardSession(fitted) as session:
        refuse_emulated(fitted, session.open())
        for number in range(repeat):
            readings.append(take(session, base, f"measure-{number + 1}"))
            progress.advance(note=f"{readings[-1].latency_ms:.4g} ms")
    if as_json:
        print_json(facts(readings, fitted))
    else:
        _show(readings, fitted, base, model)


def take(session: BoardSession, base: BaseNetwork, name: str) -> Reading:
    """One reading of the base network itself, in a fresh process on the board.

    Raises:
        BoardError: the board does not answer, or the network does not run on it.
    """
    from hwprune.errors import BoardError
    from hwprune_device.job import Job
    from hwprune_device.reading import Failure

    board = session.board
    job = Job(
        job_id=name,
        base_id=base.base_id,
        base_architecture=base.architecture,
        base_widths=base.widths,
        target=board.target,
        protocol=board.protocol,
        candidates=(),
    )
    outcome = session.measure(job, base).outcomes[0]
    if isinstance(outcome, Failure):
        raise BoardError(
            f"board '{board.name}' could not measure the network",
            given=f"at '{outcome.stage}': {outcome.message}",
            next_step="hwprune doctor shows whether the board measures anything",
        )
    return outcome


def fit(board: Board, base: BaseNetwork, threads: int | None, batch: int | None) -> Board:
    """The board with the options' threads and batch, and cores for as many threads.

    Raises:
        InputError: more threads than cores, or a batch that the network does not have.
        BoardError: it cannot be reached from here.
    """
    import os
    from dataclasses import replace

    from hwprune.errors import InputError
    from hwprune.farm.connections import refuse_indirect

    refuse_indirect(board)

    fixed = fixed_batch(base.onnx)
    if fixed and batch not in (None, fixed):
        raise InputError(
            "the network's batch is fixed",
            given=f"--batch {batch}",
            possible=str(fixed),
            next_step="export it with a symbolic first axis",
        )
    count = threads or board.target.threads
    allowed = sorted(os.sched_getaffinity(0))
    cores = board.cores[-count:] if count <= len(board.cores) else ()
    if board.is_here:
        cores = cores or tuple(allowed[-count:])
    if board.is_here and count > len(cores):
        raise InputError(
            "there are fewer cores than threads",
            given=f"--threads {count}",
            possible=f"1 to {len(allowed)}",
        )
    target = replace(board.target, threads=count, batch=fixed or batch or board.target.batch)
    return replace(board, target=target, cores=cores)


def fixed_batch(model: bytes) -> int:
    """Size of the first axis of the network's input; 0 where it is symbolic."""
    import onnx

    first = onnx.load_model_from_string(model).graph.input[0].type.tensor_type.shape.dim[0]
    return int(first.dim_value)


def facts(readings: Sequence[Reading], board: Board) -> dict[str, Any]:
    """All readings and what they say together, as plain data."""
    from hwprune.budget import Constraint
    from hwprune.report.interval import of_readings

    quantiles = {}
    for quantile in QUANTILES:
        constraint = Constraint(quantity="latency_ms", at_most=1.0, quantile=quantile)
        found = of_readings(constraint, readings)
        assert found is not None  # there is at least one reading
        quantiles[f"p{quantile * 100:g}"] = {
            "value": found.value,
            "low": found.low,
            "high": found.high,
        }
    middle = quantiles["p50"]
    return {
        "board": board.name,
        "architecture": readings[0].architecture,
        "latency_ms": middle["value"],
        "low_ms": middle["low"],
        "high_ms": middle["high"],
        "quantiles_ms": quantiles,
        "memory_mb": _memory_mb(readings),
        "energy_mj": _energy_mj(readings),
        "energy_source": readings[-1].energy_source,
        "doubts": list(dict.fromkeys(doubt for r in readings for doubt in r.doubts)),
        "readings": [r.to_json() for r in readings],
    }


def _memory_mb(readings: Sequence[Reading]) -> float | None:
    """The most that any reading took; None where the runtime does not tell."""
    return max((r.memory.peak_mb for r in readings if r.memory.peak_mb is not None), default=None)


def _energy_mj(readings: Sequence[Reading]) -> float | None:
    """Median of the readings that have an energy; None without any."""
    from statistics import median

    found = [r.energy_mj for r in readings if r.energy_mj is not None]
    return median(found) if found else None


def _show(readings: Sequence[Reading], board: Board, base: BaseNetwork, model: str) -> None:
    from hwprune.cli.reading_rows import reading_rows
    from hwprune.cli.screen import output

    data, target = facts(readings, board), board.target
    shape = "x".join(str(size) for size in (target.batch, *base.input_shape[1:]))
    console = output()
    console.print(
        f"[bold]{Path(model).name}[/] on {board.name}: {_runs(readings[-1])}, input {shape}"
    )
    for name, text in reading_rows(data, readings):
        console.print(f"{name:<14}{text}", markup=False, soft_wrap=True)
    for doubt in data["doubts"]:
        console.print(f"{'doubt':<14}{doubt}", style="yellow", markup=False, soft_wrap=True)


def _runs(reading: Reading) -> str:
    """What ran the network: "onnxrt 1.23.0, fp32, 2 threads", "trt 10.3.0, fp16"."""
    target = reading.target
    words = f"{target['runtime']} {target.get('version', '')}".strip() + f", {target['precision']}"
    # One thread feeds a GPU, and how many there are changes nothing.
    if reading.device_ms is not None:
        return words
    count = target["threads"]
    return f"{words}, {count} thread{'s' if count > 1 else ''}"
