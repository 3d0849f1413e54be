"""The part of `hwprune inspect` that looks at data: rank of feature maps, and sensitive layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hwprune.channels.base import BaseNetwork
    from hwprune.saliency.sensitivity import Reading, Sensitivity
    from hwprune.task.task import Task


class ReadAs(str, Enum):
    """As `search.sensitive` in a deployment file."""

    rank = "rank"
    protect = "protect"


Sensitive = Annotated[
    bool,
    typer.Option(
        "--sensitivity",
        help="Instead: rank of the feature maps by layer, and which layers are sensitive. "
        "Needs --data and trained weights.",
    ),
]
Source = Annotated[
    str, typer.Option("--data", metavar="SOURCE", help="As data.source in a deployment file.")
]
Root = Annotated[str, typer.Option("--root", help="Folder of downloaded data.")]
Mean = Annotated[str, typer.Option("--mean", help="By channel, for pixels in 0..1: 0.5,0.5,0.5.")]
Std = Annotated[str, typer.Option("--std", help="As --mean; both default to the data's own.")]
LowRank = Annotated[
    float, typer.Option("--low-rank", help="Low is below this share of the map's smaller side.")
]
Threshold = Annotated[
    float, typer.Option("--threshold", help="Sensitive is above this share of low-rank maps.")
]
ReadingOf = Annotated[
    ReadAs,
    typer.Option("--reading", help="Sensitive groups: cut by the rank rule, or left whole."),
]

BAR = 20
"""Characters of a full bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityOptions:
    """What the command line says about sensitive layers."""

    data: str
    """As `data.source` in a deployment file; `root`, `mean` and `std` alike."""
    root: str
    mean: str
    """Numbers with a comma between them, by channel; empty: of the training images."""
    std: str
    low_rank: float
    threshold: float
    reading: Reading


def read_task(options: SensitivityOptions) -> Task:
    """The data, of which nothing has to be held out here.

    Raises:
        InputError: no data is named, or it is not there, or mean and std do not fit it.
    """
    from hwprune.data_settings import DataSettings
    from hwprune.errors import InputError
    from hwprune.task.data_source import POSSIBLE
    from hwprune.task.load import load_task
    from hwprune.task_settings import TaskSettings

    if not options.data:
        raise InputError(
            "--sensitivity looks at images, and no data is named",
            possible=POSSIBLE,
            next_step="hwprune inspect MODEL --sensitivity --data torchvision:CIFAR10",
        )
    settings = DataSettings(
        source=options.data,
        root=options.root,
        # No candidate is scored or re-calibrated here, so next to nothing is set apart.
        heldout=1,
        calibration=2,
        mean=_numbers("--mean", options.mean),
        std=_numbers("--std", options.std),
    )
    return load_task(TaskSettings(), settings).task


def _numbers(option: str, text: str) -> tuple[float, ...]:
    from hwprune.errors import InputError

    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise InputError(
            f"{option} is no list of numbers", given=text, possible="0.485,0.456,0.406"
        ) from None


def sensitivity_of(base: BaseNetwork, task: Task, options: SensitivityOptions) -> Sensitivity:
    """The sensitivity of every layer, with a live bar on a terminal.

    Raises:
        InputError: a share is none, or the network has no feature maps.
    """
    from hwprune.errors import InputError
    from hwprune.report.progress import shown
    from hwprune.saliency.sensitivity import sense

    for option, share in (("--low-rank", options.low_rank), ("--threshold", options.threshold)):
        if not 0 <= share <= 1:
            raise InputError(f"{option} is a share, 0 to 1", given=f"{share:g}")
    with shown() as progress:
        found = sense(
            base,
            task,
            low_rank=options.low_rank,
            threshold=options.threshold,
            progress=progress,
        )
    if not found.layers:
        raise InputError("no layer of this network puts out maps of two rows and columns")
    return found


def sensitivity_facts(found: Sensitivity, reading: Reading) -> dict[str, Any]:
    """Layers and sensitive groups as plain data; `kept` is in units, before any rounding."""
    groups = found.plan.groups
    layers = [
        {
            "layer": layer.layer,
            "groups": [groups[s.group].name for s in layer.spans if s.group >= 0],
            "height": layer.size[0],
            "width": layer.size[1],
            "maps": len(layer.ranks),
            "mean_rank": float(layer.ranks.mean()),
            "low_rank_share": found.low_share(layer),
            "sensitive": found.is_sensitive(layer),
        }
        for layer in found.layers
    ]
    sensitive = [
        {
            "group": groups[g].name,
            "channels": groups[g].width,
            "kept": groups[g].width if reading == "protect" else round(share * groups[g].width),
        }
        for g, share in found.sensitive_groups().items()
    ]
    return {
        "low_rank": found.low_rank,
        "threshold": found.threshold,
        "reading": reading,
        "layers": layers,
        "sensitive_groups": sensitive,
    }


def print_sensitivity(found: Sensitivity, reading: Reading, console: Console, model: str) -> None:
    """The table of layers, and what becomes of the groups that are sensitive."""
    from hwprune.report.console import headed

    facts = sensitivity_facts(found, reading)
    console.print(_table(facts["layers"], found, model))
    groups = facts["sensitive_groups"]
    console.print(headed("sensitive groups", f" ({reading}): {len(groups)}"))
    for group in groups:
        console.print(f"  {group['group']}: keeps {group['kept']} of {group['channels']}")
    console.print("layers that residual connections tie are one group and judged together")


def _table(layers: Sequence[dict[str, Any]], found: Sensitivity, model: str) -> Table:
    from rich import box
    from rich.table import Table

    from hwprune.report.figures import percent

    table = Table(title=f"{model}: rank of feature maps", box=box.SIMPLE_HEAD)
    for column in ("layer", "map", "mean rank", "low rank", "share of maps", ""):
        right = column in ("map", "mean rank", "low rank")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for layer in layers:
        share = layer["low_rank_share"]
        table.add_row(
            layer["layer"],
            f"{layer['height']}x{layer['width']}",
            f"{layer['mean_rank']:.1f}",
            percent(share, 0),
            _bar(share),
            "sensitive" if layer["sensitive"] else "",
            style="bold" if layer["sensitive"] else "",
        )
    table.caption = (
        f"low rank: below {percent(found.low_rank, 0)} of the map's smaller side; "
        f"sensitive: more than {percent(found.threshold, 0)} of the maps"
    )
    return table


def _bar(share: float) -> str:
    """A share as a bar of text."""
    full = round(share * BAR)
    return "█" * full + "·" * (BAR - full)
