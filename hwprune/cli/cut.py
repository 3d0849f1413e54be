"""`hwprune cut`: a smaller network at once, without a search and without a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwprune.cli.inspect import Input, Model, Weights
from hwprune.cli.prune import Quiet
from hwprune.cli.sensitivity import Root

if TYPE_CHECKING:
    from hwprune.pipeline.cut import CutOutcome
    from hwprune.width_limit import WidthLimit

Keep = Annotated[
    float | None,
    typer.Option("--keep", help="Share of every group that stays, 0..1.", show_default=False),
]
Widths = Annotated[
    Path | None,
    typer.Option(
        "--widths",
        metavar="FILE.json",
        help="Widths by group name; groups it leaves out stay whole.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", help="A new folder.", show_default=False)]
Saliency = Annotated[str, typer.Option("--saliency", help="Which channels stay.")]
Multiple = Annotated[
    int, typer.Option("--multiple-of", metavar="N", help="Channels come in multiples of N.")
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="PATTERN",
        help="Layers or groups to leave whole; may be repeated.",
        show_default=False,
    ),
]
Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="PATTERN:KEY=N",
        help="Where a pattern names a group: multiple_of=N, min_width=N or min_keep=SHARE, with "
        "commas between them; may be repeated.",
        show_default=False,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="SOURCE",
        help="Data for criteria that need it, and to re-calibrate BatchNorm: "
        "torchvision:CIFAR10, sklearn:digits, package.module:function.",
        show_default=False,
    ),
]
Samples = Annotated[
    str,
    typer.Option(
        "--samples",
        metavar="FILES",
        help="A few inputs where there is no data set: 'frames/*.png', or .npy and .npz arrays as "
        "the network takes them.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="What was done as JSON on stdout.")]


def cut(
    model: Model,
    out: Out,
    keep: Keep = None,
    widths: Widths = None,
    saliency: Saliency = "l1",
    multiple_of: Multiple = 1,
    ignore: Ignore = None,
    limit: Limit = None,
    input_: Input = "",
    weights: Weights = None,
    data: Data = "",
    root: Root = "~/.cache/hwprune/data",
    samples: Samples = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cut a network to a share of its channels, or to given widths.

    Writes model.onnx, weights.safetensors, architecture.json and cut.json. The network is not
    fine-tuned; `hwprune prune` searches widths for a budget and trains.

    Example:  hwprune cut torchvision:resnet18:none --keep 0.5 --out half
    """
    from hwprune.cli.inspect import parse_shapes
    from hwprune.cli.screen import print_json
    from hwprune.data_settings import DataSettings
    from hwprune.pipeline import cut as cutting
    from hwprune.report.progress import shown
    from hwprune.task.load import load_task
    from hwprune.task_settings import TaskSettings

    with shown(quiet=quiet) as progress:
        outcome = cutting.cut(
            cutting.CutSettings(
                source=model,
                out=out,
                keep=keep,
                widths=widths,
                saliency=saliency,
                multiple_of=multiple_of,
                ignore=tuple(ignore or ()),
                limits=dict(_limit(text) for text in limit or ()),
                shapes=parse_shapes(input_),
                weights=weights,
                task=load_task(TaskSettings(), DataSettings(source=data, root=root)).task
                if data
                else None,
                samples=samples,
            ),
            progress,
        )
    if as_json:
        print_json(outcome.to_json())
    else:
        _show(outcome)


def _limit(text: str) -> tuple[str, WidthLimit]:
    """`layer1.*:multiple_of=16,min_width=8` as a pattern and its limit.

    Raises:
        InputError: there is no colon, a key is unknown, or a value is no number.
    """
    from hwprune.errors import InputError
    from hwprune.width_limit import WidthLimit

    # The last colon: names of layers may have some of their own.
    pattern, colon, rules = text.rpartition(":")
    pairs = [rule.partition("=") for rule in rules.split(",")]
    kinds = {"min_width": int, "multiple_of": int, "min_keep": float}
    try:
        values = {key.strip(): kinds[key.strip()](value) for key, _, value in pairs}
    except (KeyError, ValueError):
        values = {}  # refused below, with the same words
    if not colon or not pattern or not values:
        raise InputError(
            "--limit cannot be read",
            given=text,
            possible="'layer1.*:multiple_of=16,min_width=8'; keys: " + ", ".join(kinds),
        )
    return pattern, WidthLimit(**values)


def _show(outcome: CutOutcome) -> None:
    from rich import box
    from rich.table import Table

    from hwprune.cli.screen import output, short_list
    from hwprune.report.figures import count, percent

    facts, console = outcome.to_json(), output()
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", "before", "after", "left"):
        table.add_column(column, justify="left" if not column else "right")
    for name, title in (("params", "parameters"), ("macs", "MACs"), ("bytes", "bytes of ONNX")):
        before, after = facts[name]["before"], facts[name]["after"]
        left = percent(after / max(1, before), 1)
        table.add_row(title, count(before), count(after), left)
    console.print(table)
    for layer in facts["never_cut"]:
        if layer["reason"] != "network output":
            console.print(f"never cut  {layer['layer']}: {layer['reason']}")
    if facts["macs_uncounted"]:
        layers = short_list(facts["macs_uncounted"], 3)
        console.print(f"note       MACs without those of {layers}: sizes unknown")
    outputs = [x["layer"] for x in facts["never_cut"] if x["reason"] == "network output"]
    console.print(f"whole      {short_list(outputs, 3)}: network output")
    console.print(f"tried      {outcome.gate.summary}")
    for name, reason in outcome.gate.left_whole.items():
        console.print(f"left whole {name}: {reason}")
    if not outcome.recalibrated:
        console.print("note       BatchNorm keeps the uncut statistics; --data re-calibrates it")
    console.print(f"\nnetwork    {outcome.folder}/model.onnx, weights.safetensors")
