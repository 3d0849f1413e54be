"""`hwprune inspect`: what can be cut from a network, and what it would save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwprune.cli.board_options import Size, Threads
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
    from rich.console import Console
    from rich.table import Table

    from hwprune.channels.base import BaseNetwork
    from hwprune.cli.layer_table import OnBoard
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
    from hwprune.cli.layer_table import on_board, print_layers
    from hwprune.cli.screen import output, print_json
    from hwprune.network.graph_source import load_graph

    _refuse_unheard(board, sensitivity=sensitivity, timed=threads is not None or batch is not None)
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
    console.print(_table(base, model, found))
    _print_frozen(base, record, console)
    _print_totals(base, console)
    if found is not None:
        print_layers(found, model, console)
    said = record.summary if record else "not yet; --try cuts every group and compares"
    console.print(f"[bold]tried[/]: {said}")


def _refuse_unheard(board: str, *, sensitivity: bool, timed: bool) -> None:
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
        shapes = [()]
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


def facts(base: BaseNetwork, found: OnBoard | None = None) -> dict[str, Any]:
    """Groups, frozen layers and totals as plain data, and times where a board told them."""
    from hwprune.cli.layer_table import group_facts

    model, plan = base.cost_model, base.plan
    macs, params = model.macs(plan.widths), model.params(plan.widths)
    least = tuple(1 for _ in plan.widths)
    groups = [
        {
            "name": group.name,
            "width": group.width,
            "unit": group.unit,
            "members": list(group.members),
            "readers": list(group.readers),
            "macs": cost.macs,
            "params": cost.params,
            "macs_share": cost.macs / max(1, macs),
            "params_share": cost.params / max(1, params),
        }
        for group, cost in zip(plan.groups, model.group_costs(), strict=True)
    ]
    timed = group_facts(found) if found is not None else []
    for group, times in zip(groups, timed, strict=False):
        group.update(times)
    return {
        **({"board": found.to_json()} if found is not None else {}),
        "input_shape": list(base.input_shape),
        "exporter": base.exporter,
        "architecture": base.architecture,
        "macs": macs,
        "macs_uncounted": list(model.uncounted),
        "params": params,
        "macs_share_cuttable": 1 - model.macs(least) / max(1, macs),
        "params_share_cuttable": 1 - model.params(least) / max(1, params),
        "groups": groups,
        "frozen": [{"layer": layer, "reason": reason} for layer, reason in plan.frozen],
    }


def _table(base: BaseNetwork, model: str, found: OnBoard | None) -> Table:
    """The groups in the network's order; the costliest are bold."""
    from rich import box
    from rich.table import Table

    from hwprune.cli.layer_table import group_cells
    from hwprune.cli.screen import short_list
    from hwprune.report.figures import count, percent

    data, cells = facts(base), group_cells(found)
    table = Table(title=f"{model}: {len(data['groups'])} channel groups", box=box.SIMPLE_HEAD)
    timed = ("ms", "saves") if cells else ()
    costs = ("MACs", "share", "params", "share", *timed)
    for column in ("group", "width", "carried by", "read by", *costs):
        left = column in ("group", "carried by", "read by")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    dear = sorted((g["macs_share"] for g in data["groups"]), reverse=True)[:3]
    for number, g in enumerate(data["groups"]):
        table.add_row(
            g["name"],
            str(g["width"]) if g["unit"] == 1 else f"{g['width']} x {g['unit']}",
            short_list(g["members"], 1),
            short_list(g["readers"], 1),
            count(g["macs"]),
            percent(g["macs_share"], 1),
            count(g["params"]),
            percent(g["params_share"], 1),
            *(cells[number] if cells else ()),
            style="bold" if g["macs_share"] in dear else "",
        )
    table.caption = (
        "share: what goes away when this group alone is cut to one channel; "
        "12 x 64: 12 heads or blocks of 64 channels, each cut as a whole"
    )
    if cells:
        table.caption += (
            "; ms: all layers that carry or read the group; saves: when it alone is cut to half"
        )
    return table


def _print_frozen(base: BaseNetwork, record: GateRecord | None, console: Console) -> None:
    if not base.plan.frozen:
        return
    tried = record.left_whole if record else {}
    console.print("[bold]never cut[/]")
    for layer, reason in base.plan.frozen:
        console.print(f"  {layer}: {tried.get(layer, reason)}", markup=False)


def _print_totals(base: BaseNetwork, console: Console) -> None:
    from hwprune.cli.screen import short_list
    from hwprune.report.figures import count, percent

    data = facts(base)
    shape = "x".join(str(size) for size in data["input_shape"])
    console.print(
        f"[bold]total[/] for one input of {shape}: {count(data['macs'])} MACs, "
        f"{count(data['params'])} parameters"
    )
    if data["exporter"]:
        console.print(f"traced by {data['exporter']}", markup=False)
    if data["macs_uncounted"]:
        layers = short_list(data["macs_uncounted"], 3)
        console.print(f"MACs without those of {layers}, whose sizes are not known", markup=False)
    console.print(
        f"[bold]can be cut[/]: up to {percent(data['macs_share_cuttable'], 1)} of the MACs, "
        f"{percent(data['params_share_cuttable'], 1)} of the parameters"
    )
