"""`hwprune prune`: from a deployment file, or a network and inputs, to a delivered network."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hwprune.report.front import Front
    from hwprune.report.result import Result

What = Annotated[
    str,
    typer.Argument(
        metavar="DEPLOYMENT.toml|MODEL",
        help="A deployment file; or a network alone, with --inputs or --data and a limit.",
        show_default=False,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the newest run, or with the one in --out.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Run folder; runs/NAME by default.", show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Set a value of the file from here; may be repeated.",
        show_default=False,
    ),
]
Compare = Annotated[
    bool,
    typer.Option("--compare", help="Let the baselines search as well, to compare methods."),
]
Minutes = Annotated[
    float,
    typer.Option("--minutes", help="End each search after so long; 0: as long as it takes."),
]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
_OF_MODEL = "Of a MODEL"
Inputs = Annotated[
    str,
    typer.Option(
        "--inputs",
        metavar="FILES|FUNCTION",
        help="What it is fed: 'frames/*.png', '*.npy', '*.npz', or package.module:function.",
        rich_help_panel=_OF_MODEL,
        show_default=False,
    ),
]
DataSource = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="SOURCE",
        help="Data with labels instead: as data.source in a deployment file.",
        rich_help_panel=_OF_MODEL,
        show_default=False,
    ),
]
Latency = Annotated[
    str,
    typer.Option(
        "--latency",
        metavar="LIMIT",
        help="'8 ms', or '50 %' of its own; '70 %,50 %,30 %': a network for each.",
        rich_help_panel=_OF_MODEL,
        show_default=False,
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        "--memory", metavar="LIMIT", help="'200 MB', or '60 %'.", rich_help_panel=_OF_MODEL
    ),
]
Board = Annotated[
    str,
    typer.Option("--board", help="A board's name or profile.", rich_help_panel=_OF_MODEL),
]
Shape = Annotated[
    str,
    typer.Option(
        "--input",
        metavar="SHAPE",
        help="Input shape where the network does not tell it: 1x3x224x224.",
        rich_help_panel=_OF_MODEL,
        show_default=False,
    ),
]
Mean = Annotated[
    str,
    typer.Option(
        "--mean",
        help="Of images, by channel, for pixels in 0..1: 0.485,0.456,0.406. --std alike.",
        rich_help_panel=_OF_MODEL,
        show_default=False,
    ),
]
Std = Annotated[str, typer.Option("--std", rich_help_panel=_OF_MODEL, show_default=False)]
Layout = Annotated[
    str,
    typer.Option(
        "--layout", help="Of images: NCHW or NHWC.", rich_help_panel=_OF_MODEL, show_default=False
    ),
]
AtLeast = Annotated[
    str,
    typer.Option(
        "--at-least",
        metavar="SCORE",
        help="Floor of the delivered score: '98 %' of the unpruned one, or a number.",
        rich_help_panel=_OF_MODEL,
        show_default=False,
    ),
]


def prune(
    what: What,
    resume: Resume = False,
    out: Out = None,
    set_: Set = None,
    compare: Compare = False,
    minutes: Minutes = 0.0,
    inputs: Inputs = "",
    data: DataSource = "",
    latency: Latency = "",
    memory: Memory = "",
    board: Board = "this-machine",
    input_: Shape = "",
    mean: Mean = "",
    std: Std = "",
    layout: Layout = "",
    at_least: AtLeast = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prune a network until it keeps its budget, measured on its board.

    With a MODEL alone no file, labels or training code are needed: the score is how far it agrees
    with the unpruned network on the inputs, and it is fine-tuned by imitating that.

    Exit code 0: the budget was shown to be kept; 7: it was not; 8: the score is below its floor;
    2: what was given is wrong; 3: the budget cannot be met; 4: a board does not answer; 5: the run
    folder; 6: torch, ONNX and the board disagree. Of several budgets, the highest code of any.

    Example:  hwprune init && hwprune prune deployment.toml

    Example:  hwprune prune net.onnx --inputs 'frames/*.png' --latency '50 %'
    """
    from hwprune.pipeline.model_deployment import deployment_of_model
    from hwprune.report.front import Front

    content: dict[str, Any] | None = None
    if not what.endswith(".toml"):
        content = deployment_of_model(
            what,
            inputs=inputs,
            data=data,
            limits={"latency_ms": latency, "memory_mb": memory},
            board=board,
            shape=input_,
            images={"mean": mean, "std": std, "layout": layout},
            at_least=at_least,
        )
    overrides = _overrides(set_ or [], compare=compare, minutes=minutes)
    result, folder = _run(
        Path(what), content, quiet=quiet, resume=resume, out=out, overrides=overrides
    )
    if isinstance(result, Front):
        _show_front(result, folder, as_json=as_json)
        raise typer.Exit(max(entry.exit_code for entry in result.entries))
    _show(result, folder, as_json=as_json)
    raise typer.Exit(result.exit_code)


def _overrides(given: list[str], *, compare: bool, minutes: float) -> list[str]:
    also = ["search.compare=true"] if compare else []
    return [*given, *also, *([f"search.minutes={minutes}"] if minutes else [])]


def _run(
    path: Path, content: dict[str, Any] | None, *, quiet: bool, **how: Any
) -> tuple[Result | Front, Path]:
    """The result and the run folder; Ctrl-C says how to go on."""
    from hwprune.cli.verbs import INTERRUPTED
    from hwprune.pipeline import run_deployment
    from hwprune.report.progress import shown

    try:
        with shown(quiet=quiet) as progress:
            return run_deployment(path, content, progress=progress, **how)
    except KeyboardInterrupt:
        typer.echo(f"interrupted; resume with: {resume_command(sys.argv)}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def resume_command(typed: list[str]) -> str:
    """What to type to go on with an interrupted run."""
    # Once, however often it was resumed.
    told = [part for part in typed[1:] if part != "--resume"]
    return shlex.join(["hwprune", *told, "--resume"])


def _show_front(front: Front, folder: Path, *, as_json: bool) -> None:
    from hwprune.cli.screen import output, print_json
    from hwprune.report.table import front_json, front_table

    if as_json:
        report = str(folder / "report.html")
        print_json(front_json(front) | {"folder": str(folder), "report": report})
        return
    console = output()
    console.print()
    console.print(front_table(front))
    for entry in front.entries:
        if entry.result is None:
            console.print(f"{entry.budget}: {entry.failed}", style="red")
            continue
        for doubt in entry.result.doubts:
            console.print(f"doubt     {entry.budget}: {doubt}", style="yellow")
    console.print(f"\nnetworks  {folder}/NAME/model.onnx, each with its report and certificate")
    console.print(f"report    {folder / 'report.html'}")


def _show(result: Result, folder: Path, *, as_json: bool) -> None:
    from hwprune.cli.screen import output, print_json
    from hwprune.report.table import closing_table, findings_text, floor_text, table_json

    if as_json:
        print_json(
            table_json(result) | {"folder": str(folder), "report": str(folder / "report.html")}
        )
        return
    console = output()
    console.print()
    console.print(closing_table(result))
    console.print(findings_text(result.certificate))
    if result.floor is not None:
        console.print(floor_text(result))
    for prediction in result.predictions:
        console.print(f"table     {prediction.text}", soft_wrap=True)
    for doubt in dict.fromkeys((*result.doubts, *result.certificate.doubts)):
        console.print(f"doubt     {doubt}", style="yellow")
    console.print(f"\nnetwork   {folder}/model.onnx, weights.safetensors, architecture.json")
    for engine in result.engines:
        console.print(f"engine    {folder}/{', '.join(engine.files)}, for {engine.made_for}")
    console.print(f"report    {folder / 'report.html'}")
