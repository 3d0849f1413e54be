"""`hwprune inspect`: what can be cut from a network, and what it would save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
        "--input", metavar="NxCxHxW", help="Input shape; 1x3x224x224 for torchvision's networks."
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="A .safetensors or .pth file.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]


def inspect(
    model: Model,
    input_: Input = "",
    weights: Weights = None,
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

    Example:  hwprune inspect torchvision:resnet18:none
    """
    from hwprune.channels.base import make_base
    from hwprune.cli.screen import output, print_json

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
        _show_sensitivity(model, input_, weights, options, as_json=as_json)
        return
    base = make_base(onnx_bytes(model, input_, weights))
    if as_json:
        print_json(facts(base))
        return
    console = output()
    console.print(_table(base, model))
    _print_frozen(base, console)
    _print_totals(base, console)


def _show_sensitivity(
    model: str, shape: str, weights: Path | None, options: SensitivityOptions, *, as_json: bool
) -> None:
    """Which layers have many feature maps of low rank; the data tells the input's shape."""
    from hwprune.channels.base import make_base
    from hwprune.cli.screen import output, print_json
    from hwprune.cli.sensitivity import (
        print_sensitivity,
        read_data,
        sensitivity_facts,
        sensitivity_of,
    )

    images = read_data(options)
    shape = shape or "x".join(map(str, (1, *images.input_shape)))
    found = sensitivity_of(make_base(onnx_bytes(model, shape, weights)), images, options)
    if as_json:
        print_json(sensitivity_facts(found, options.reading))
    else:
        print_sensitivity(found, options.reading, output(), model)


def onnx_bytes(model: str, shape: str, weights: Path | None) -> bytes:
    """The network as ONNX: an .onnx file as it is, anything else traced.

    Raises:
        InputError: no such file, a shape that is none, or a network that cannot be loaded.
    """
    if model.endswith(".onnx"):
        return read_onnx(Path(model))
    import torch

    from hwprune.network.source import load_network
    from hwprune.network.trace import trace

    sizes = parse_shape(model, shape)
    module = load_network(model, weights=weights)
    return trace(module.eval(), torch.zeros(sizes))


def read_onnx(path: Path) -> bytes:
    """The bytes of a model file.

    Raises:
        NetworkError: the file is missing or cannot be read, or is empty.
    """
    from hwprune.errors import NetworkError

    try:
        data = path.read_bytes()
    except OSError as error:
        near = sorted(p.name for p in path.parent.glob("*.onnx")) if path.parent.is_dir() else []
        raise NetworkError(
            f"the model file {path} cannot be read",
            given=error.strerror or str(error),
            possible=f"in {path.parent}: {', '.join(near[:6])}" if near else "",
        ) from None
    if not data:
        raise NetworkError(f"the model file {path} is empty")
    return data


def parse_shape(model: str, shape: str) -> tuple[int, ...]:
    """`1x3x32x32` as numbers; torchvision's networks have a default.

    Raises:
        InputError: not given where it must be, or not numbers with an x between them.
    """
    from hwprune.errors import InputError

    if not shape and model.startswith("torchvision:"):
        return (1, 3, 224, 224)
    try:
        sizes = tuple(int(part) for part in shape.lower().split("x"))
    except ValueError:
        sizes = ()
    if len(sizes) < 2 or min(sizes) < 1:
        raise InputError(
            "the network's input shape is not known" if not shape else "--input is no shape",
            given=shape,
            possible="sizes with an x between them, batch first: 1x3x32x32",
            next_step=f"hwprune inspect {model} --input 1x3x32x32",
        )
    return sizes


def facts(base: BaseNetwork) -> dict[str, Any]:
    """Groups, frozen layers and totals as plain data."""
    model, plan = base.cost_model, base.plan
    macs, params = model.macs(plan.widths), model.params(plan.widths)
    least = tuple(1 for _ in plan.widths)
    groups = [
        {
            "name": group.name,
            "width": group.width,
            "members": list(group.members),
            "readers": list(group.readers),
            "macs": cost.macs,
            "params": cost.params,
            "macs_share": cost.macs / max(1, macs),
            "params_share": cost.params / max(1, params),
        }
        for group, cost in zip(plan.groups, model.group_costs(), strict=True)
    ]
    return {
        "input_shape": list(base.input_shape),
        "architecture": base.architecture,
        "macs": macs,
        "params": params,
        "macs_share_cuttable": 1 - model.macs(least) / max(1, macs),
        "params_share_cuttable": 1 - model.params(least) / max(1, params),
        "groups": groups,
        "frozen": [{"layer": layer, "reason": reason} for layer, reason in plan.frozen],
    }


def _table(base: BaseNetwork, model: str) -> Table:
    """The groups in the network's order; the costliest are bold."""
    from rich import box
    from rich.table import Table

    from hwprune.cli.screen import short_list
    from hwprune.report.figures import count, percent

    data = facts(base)
    table = Table(title=f"{model}: {len(data['groups'])} channel groups", box=box.SIMPLE_HEAD)
    for column in ("group", "width", "carried by", "read by", "MACs", "share", "params", "share"):
        left = column in ("group", "carried by", "read by")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    dear = sorted((g["macs_share"] for g in data["groups"]), reverse=True)[:3]
    for g in data["groups"]:
        table.add_row(
            g["name"],
            str(g["width"]),
            short_list(g["members"], 1),
            short_list(g["readers"], 1),
            count(g["macs"]),
            percent(g["macs_share"], 1),
            count(g["params"]),
            percent(g["params_share"], 1),
            style="bold" if g["macs_share"] in dear else "",
        )
    table.caption = "share: what goes away when this group alone is cut to one channel"
    return table


def _print_frozen(base: BaseNetwork, console: Console) -> None:
    if not base.plan.frozen:
        return
    console.print("[bold]never cut[/]")
    for layer, reason in base.plan.frozen:
        console.print(f"  {layer}: {reason}", markup=False)


def _print_totals(base: BaseNetwork, console: Console) -> None:
    from hwprune.report.figures import count, percent

    data = facts(base)
    shape = "x".join(str(size) for size in data["input_shape"])
    console.print(
        f"[bold]total[/] for one input of {shape}: {count(data['macs'])} MACs, "
        f"{count(data['params'])} parameters"
    )
    console.print(
        f"[bold]can be cut[/]: up to {percent(data['macs_share_cuttable'], 1)} of the MACs, "
        f"{percent(data['params_share_cuttable'], 1)} of the parameters"
    )
