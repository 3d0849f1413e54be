"""`hwprune inspect`: what can be cut from a network, and what it would save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprune.cli.options import Size, Threads
from hwprune.cli.sensitivity import (
    LowRank,
    Mean,
    ReadAs,
    ReadingOf,
    Root,
    Sensitive,
    SensitivityOptions,
    Source,
    Std,
    Threshold,
)

if TYPE_CHECKING:
    from hwprune.channels.base import BaseNetwork
    from hwprune.network.gate_record import GateRecord
    from hwprune.network.graph_source import GraphSource
    from hwprune.network.input_shapes import Shapes

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="torchvision:NAME[:WEIGHTS], package.module:function, or an .onnx file.",
        show_default=False,
    ),
]
Input = Annotated[
    str,
    typer.Option(
        "--input",
        metavar="NxCxHxW",
        help="Input shape; torchvision's networks have one, ONNX files mostly say theirs. Of "
        "several inputs: commas between them, or by name: image=1x3x64x64,state=2x1x128.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="A .safetensors or .pth file.", show_default=False),
]
Tried = Annotated[
    bool,
    typer.Option(
        "--try",
        help="Try cuts of every group, as `cut` and `prune` do, and name those that they leave "
        "whole for it. What was tried once is remembered, and shown without this too.",
    ),
]
BoardName = Annotated[
    str,
    typer.Option(
        "--board",
        metavar="NAME",
        help="Time each layer on this board (a name, a profile, or this-machine), and say what "
        "every group's cut to half would save there.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]


def inspect(
    model: Model,
    input_: Input = "",
    weights: Weights = None,
    tried: Tried = False,
    board: BoardName = "",
    threads: Threads = None,
    batch: Size = None,
    as_json: Json = False,
    sensitivity: Sensitive = False,
    data: Source = "",
    root: Root = "~/.cache/hwprune/data",
    mean: Mean = "",
    std: Std = "",
    low_rank: LowRank = 0.5,
    threshold: Threshold = 0.25,
    reading: ReadingOf = ReadAs.rank,
) -> None:
    """Show a network's channel groups: what can be cut, how it is coupled, and what it costs.

    Example:  hwprune inspect torchvision:resnet18:none --board this-machine
    """
    from hwprune.cli.group_table import facts, group_table, print_frozen, print_totals
    from hwprune.cli.layer_table import on_board, print_layers
    from hwprune.cli.screen import output, print_json
    from hwprune.network.graph_source import load_graph
    from hwprune.report.console import headed

    _refuse_ignored(board, sensitivity=sensitivity, timed=threads is not None or batch is not None)
    if sensitivity:
        options = SensitivityOptions(
            data=data,
            root=root,
            mean=mean,
            std=std,
            low_rank=low_rank,
            threshold=threshold,
            reading=reading.value,
        )
        _show_sensitivity(model, parse_shapes(input_), weights, options, as_json=as_json)
        return
    graph = load_graph(model, shapes=parse_shapes(input_), weights=weights)
    base, record = _tried(graph) if tried else _known(graph)
    found = on_board(base, board, threads, batch) if board else None
    if as_json:
        print_json({**facts(base, found), "gate": record.to_json() if record else None})
        return
    console = output()
    console.print(group_table(base, model, found))
    print_frozen(base, record, console)
    print_totals(base, console)
    if found is not None:
        print_layers(found, model, console)
    said = record.summary if record else "not yet; --try cuts every group and compares"
    console.print(headed("tried", f": {said}"))


def _refuse_ignored(board: str, *, sensitivity: bool, timed: bool) -> None:
    """See that no option is given that would change nothing.

    Raises:
        InputError: one is.
    """
    from hwprune.errors import InputError

    if board and sensitivity:
        raise InputError(
            "--sensitivity asks for ranks, which no board tells",
            given=f"--sensitivity --board {board}",
            possible="one of the two",
        )
    if timed and not board:
        raise InputError(
            "--threads and --batch are of a board, and none is named",
            next_step="--board this-machine times layers here",
        )


def _tried(graph: GraphSource) -> tuple[BaseNetwork, GateRecord]:
    from hwprune.network.gate import trusted_base
    from hwprune.network.gate_record import user_records

    base, _, record = trusted_base(graph.onnx, module=graph.part, records=user_records())
    return base, record


def _known(graph: GraphSource) -> tuple[BaseNetwork, GateRecord | None]:
    """The network as far as an earlier trial trusts it, where there was one."""
    from hwprune.channels.base import make_base
    from hwprune.network.gate_record import user_records

    base = make_base(graph.onnx)
    record = user_records().get(base, ())
    if record is not None and record.left_whole:
        base = make_base(graph.onnx, ignore=tuple(record.left_whole))
    return base, record


def _show_sensitivity(
    model: str,
    shapes: Shapes,
    weights: Path | None,
    options: SensitivityOptions,
    *,
    as_json: bool,
) -> None:
    """Which layers have many feature maps of low rank; the data tells the input's shape."""
    from hwprune.channels.base import make_base
    from hwprune.cli.screen import output, print_json
    from hwprune.cli.sensitivity import (
        print_sensitivity,
        read_task,
        sensitivity_facts,
        sensitivity_of,
    )
    from hwprune.network.graph_source import load_graph
    from hwprune.task.items import example_of

    task = read_task(options)
    # The network is exported for the data's own sizes, unless others are asked for.
    shapes = shapes or tuple(tuple(values.shape) for values in example_of(task))
    base = make_base(load_graph(model, shapes=shapes, weights=weights).onnx)
    found = sensitivity_of(base, task, options)
    if as_json:
        print_json(sensitivity_facts(found, options.reading))
    else:
        print_sensitivity(found, options.reading, output(), model)


def parse_shapes(text: str) -> Shapes:
    """`1x3x32x32` as numbers, a comma between inputs, or `image=1x3x32x32` by name; empty where
    nothing is said.

    Raises:
        InputError: not numbers with an x between them, or names for some inputs only.
    """
    from hwprune.errors import InputError

    parts = [part.strip().rpartition("=") for part in text.split(",") if part.strip()]
    named = any(equals for _, equals, _ in parts)
    try:
        shapes = [tuple(int(size) for size in part.lower().split("x")) for _, _, part in parts]
    except ValueError:
        shapes = [()]  # shorter than any shape: refused below, with the same words
    least = 1 if named else 2
    known = all(name for name, _, _ in parts) or not named
    if not known or any(len(shape) < least or min(shape) < 1 for shape in shapes):
        raise InputError(
            "--input is no shape",
            given=text,
            possible="sizes with an x between them, batch first: 1x3x32x32; commas between "
            "inputs, or names before all: image=1x3x32x32,state=2x1x128",
        )
    if not named:
        return tuple(shapes)
    return {name: shape for (name, _, _), shape in zip(parts, shapes, strict=True)}
